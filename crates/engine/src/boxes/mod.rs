//! Boxes around what a net sees: a small net of dense layers on the frozen maps of the last pooling layer says where, for each view
//! of an image, and the views are averaged (Sermanet et al., OverFeat, 2014, section 4; the method of 2012 was never
//! published). `regressor` is its arithmetic, `fit` its training, `head` what is stored.

mod fit;
mod head;
mod regressor;

pub use fit::{BoxFit, FitProgress};
pub use head::{Head, HeadRecord};
