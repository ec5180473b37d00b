//! Boxes around what a net sees. A *head*, a small net of dense layers on the frozen maps of the last pooling layer, says where for
//! each view of an image, and the views are averaged (Sermanet et al., OverFeat, 2014, section 4; the method of 2012 was
//! never published). Without a head, parts of the image are covered, and where that costs the class most is where it is.
//!
//! `regressor` is the arithmetic of a head, `fit` its training, `head` what is stored, `learn` and
//! `augment` what it learns from;
//! `occlusion` covers; `locate` is what both are asked.

mod augment;
mod fit;
mod head;
mod learn;
mod locate;
mod occlusion;
mod region;
mod regressor;

pub use head::{Head, HeadRecord};
pub use learn::{BoxProgress, BoxRequest};
pub use locate::{LocateRequest, Located, Method};

/// Left, top, right, bottom.
pub(crate) type Rect = [f32; 4];
