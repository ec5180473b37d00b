//! What is where: the likeliest classes of photos, or of the images of a split, each with its box in pixels of the photo as it came.

use super::Rect;
use super::head::Head;
use super::learn::in_image;
use crate::walk::{Outputs, mean_over_views};
use crate::{Session, Views};
use ilsvrc_diagnostics::{Error, HEAD_DAMAGED, INTERNAL, INTERRUPTED, Result};
use ilsvrc_images::{Mapping, Resize, Squarer};
use ilsvrc_network::View;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where boxes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The session's head.
    Boxes,
    /// Covering parts of the image.
    Occlusion,
}

/// How to look.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocateRequest {
    /// Where boxes come from.
    pub method: Method,
    /// Views that classes and a head's boxes are averaged over. Occlusion looks at the centre.
    pub views: Views,
    /// Guesses an image.
    pub top: usize,
    /// Where the files are prepared images rather than photos: what is known of each.
    #[serde(default)]
    pub prepared: Option<Prepared>,
}

/// What is known of prepared images.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepared {
    /// How their photos became square.
    pub resize: Resize,
    /// Columns and rows of each photo.
    pub sources: Vec<[usize; 2]>,
    /// The true class of each as a number of the model; null where the model does not know it.
    pub given: Vec<Option<usize>>,
}

/// A class and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Guess {
    /// Its number in the model.
    pub class: usize,
    /// Mean over the views.
    pub probability: f32,
    /// In pixels of the photo, within it.
    #[serde(rename = "box")]
    pub rect: Rect,
}

/// What is where in a photo.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Located {
    /// Columns of the photo, after it was turned.
    pub width: usize,
    /// Rows likewise.
    pub height: usize,
    /// The likeliest first.
    pub guesses: Vec<Guess>,
    /// The box for the class that is given; where none is, for the likeliest one.
    pub known: Rect,
}

/// An image on its way.
struct Seen<'a> {
    /// `views x classes`.
    probabilities: &'a [f32],
    /// `views x elements`; empty for occlusion.
    features: &'a [f32],
    pixels: &'a [u8],
    place: Place,
}

/// Where the photo is in its square.
struct Place {
    photo: [usize; 2],
    mapping: Mapping,
    given: Option<usize>,
}

impl Session {
    /// Reads a head that belongs to the loaded model, and keeps it.
    ///
    /// # Errors
    /// `MODEL_UNREADABLE`, `HEAD_DAMAGED`, `HEAD_FOREIGN`.
    pub fn load_head(&mut self, path: &Path) -> Result<&super::HeadRecord> {
        let elements = self.elements(Some(&self.maps_layer()?))?;
        let head = Head::open(path, self.checksum()?, elements, self.threads)?;
        let (boxes, classes) = (head.record().classes.len(), self.executor.plan().classes);
        if head.record().per_class && boxes != classes {
            return Err(Error::new(
                HEAD_DAMAGED,
                format!("{} has boxes of {boxes} classes; the model has {classes}", path.display()),
            ));
        }
        Ok(self.head.insert(head).record())
    }

    /// Writes the head; whole or not at all.
    ///
    /// # Errors
    /// `WRITE_FAILED`; `INTERNAL` where there is none.
    pub fn save_head(&self, path: &Path) -> Result<()> {
        self.head.as_ref().ok_or_else(no_head)?.save(path)
    }

    /// Guesses of image files (JPEG, PNG, GIF, BMP or WebP): photos, or images of a data set.
    ///
    /// # Errors
    /// Those of [`Session::classify`]; `INTERRUPTED` when `cancel` is set; `INTERNAL` where a head is asked for and there is none.
    pub fn locate(
        &mut self,
        files: &[Vec<u8>],
        request: &LocateRequest,
        cancel: &AtomicBool,
    ) -> Result<Vec<Located>> {
        let (mean, how) = self.preparation()?;
        let views = request.views.of(self.net());
        let layer = match request.method {
            Method::Boxes => Some(self.head.as_ref().ok_or_else(no_head)?.record().layer.clone()),
            Method::Occlusion => None,
        };
        let elements = self.elements(layer.as_deref())?;
        let (image, classes) = (how.size * how.size * 3, self.executor.plan().classes);
        let mut squarer = Squarer::new();
        let mut outputs = Outputs::default();
        let mut located = Vec::with_capacity(files.len());
        let at_once = self.at_once(views.len());
        for (chunk, files) in files.chunks(at_once).enumerate() {
            let mut pixels = Vec::with_capacity(files.len() * image);
            let mut places = Vec::with_capacity(files.len());
            for (index, file) in files.iter().enumerate() {
                let square = squarer.square(file, &how)?;
                pixels.extend_from_slice(square.pixels);
                let (photo, mapping) = ([square.width, square.height], square.mapping);
                places.push(match &request.prepared {
                    None => Place { photo, mapping, given: None },
                    Some(prepared) => prepared.place(chunk * at_once + index, how.size)?,
                });
            }
            self.see(&pixels, &views, &mean, layer.as_deref(), &mut outputs)?;
            for (index, place) in places.into_iter().enumerate() {
                if cancel.load(Ordering::Relaxed) {
                    return Err(Error::new(INTERRUPTED, "stopped on request"));
                }
                let (row, features) = (views.len() * classes, views.len() * elements);
                let seen = Seen {
                    probabilities: &outputs.probabilities[index * row..][..row],
                    features: &outputs.features[index * features..][..features],
                    pixels: &pixels[index * image..][..image],
                    place,
                };
                located.push(self.guess(&seen, request, &views, &mean)?);
            }
        }
        Ok(located)
    }

    /// Classes and boxes of one image.
    fn guess(
        &mut self,
        seen: &Seen,
        request: &LocateRequest,
        views: &[View],
        mean: &[f32],
    ) -> Result<Located> {
        let count = self.executor.plan().classes;
        let mut probabilities = Vec::with_capacity(count);
        mean_over_views(seen.probabilities, views.len(), count, &mut probabilities);
        let mut order: Vec<usize> = (0..count).collect();
        // Stable: equal ones stay in the order of classes.
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        let mut classes: Vec<usize> = order.iter().copied().take(request.top.max(1)).collect();
        classes.push(seen.place.given.unwrap_or(order[0]));
        let mut boxes = match request.method {
            Method::Boxes => self.regress(seen.features, views, &classes)?,
            Method::Occlusion => self.occlude(seen.pixels, mean, &classes)?,
        };
        boxes.iter_mut().for_each(|rect| *rect = seen.place.in_photo(rect));
        let known = boxes.pop().unwrap_or_default();
        classes.pop();
        let [width, height] = seen.place.photo;
        let guess = |(class, rect): (usize, Rect)| Guess { class, probability: probabilities[class], rect };
        Ok(Located { width, height, guesses: classes.into_iter().zip(boxes).map(guess).collect(), known })
    }

    /// The head's boxes of `classes`, in pixels of the square: the mean over the views.
    fn regress(&mut self, features: &[f32], views: &[View], classes: &[usize]) -> Result<Vec<Rect>> {
        let crop = self.net().crop as f32;
        let head = self.head.as_mut().ok_or_else(no_head)?;
        let boxes = head.boxes(features)?;
        let per_view = boxes.len() / views.len();
        let of_class = |class: usize| if head.record().per_class { class } else { 0 };
        let mean = |&class: &usize| {
            let mut sum = [0.0; 4];
            for (view, boxes) in views.iter().zip(boxes.chunks_exact(per_view)) {
                let rect = boxes.get(of_class(class)).ok_or_else(|| {
                    Error::new(INTERNAL, format!("the head has {per_view} boxes and none for class {class}"))
                })?;
                sum.iter_mut().zip(in_image(rect, view, crop)).for_each(|(sum, edge)| *sum += edge);
            }
            Ok(sum.map(|edge| edge / views.len() as f32))
        };
        classes.iter().map(mean).collect()
    }
}

impl Prepared {
    fn place(&self, index: usize, size: usize) -> Result<Place> {
        let (Some(&photo), Some(&given)) = (self.sources.get(index), self.given.get(index)) else {
            return Err(Error::new(INTERNAL, format!("nothing is known of image {index}")));
        };
        Ok(Place { photo, mapping: Mapping::of(self.resize, photo, size), given })
    }
}

impl Place {
    /// A box of the square in pixels of the photo, the part of it that lies in the photo. Edges in the wrong order are put right.
    fn in_photo(&self, &[left, top, right, bottom]: &Rect) -> Rect {
        let corner = |x: f32, y: f32| self.mapping.undo([f64::from(x), f64::from(y)]);
        let (a, b) = (corner(left.min(right), top.min(bottom)), corner(left.max(right), top.max(bottom)));
        let within = |value: f64, most: usize| value.clamp(0.0, most as f64) as f32;
        let [width, height] = self.photo;
        [within(a[0], width), within(a[1], height), within(b[0], width), within(b[1], height)]
    }
}

fn no_head() -> Error {
    Error::new(INTERNAL, "no box head is loaded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_of_the_square_are_put_back_into_the_photo_and_end_at_it() {
        // 200 x 100, the middle 100 x 100 became 50 x 50.
        let mapping = Mapping::of(Resize::Crop, [200, 100], 50);
        let place = Place { photo: [200, 100], mapping, given: None };
        assert_eq!(place.in_photo(&[0.0, 0.0, 50.0, 50.0]), [50.0, 0.0, 150.0, 100.0]);
        assert_eq!(place.in_photo(&[30.0, 40.0, 10.0, 20.0]), [70.0, 40.0, 110.0, 80.0]);
        assert_eq!(place.in_photo(&[-100.0, -1.0, 60.0, 20.0]), [0.0, 0.0, 170.0, 40.0]);
        let warp = Mapping::of(Resize::Warp, [200, 100], 50);
        let place = Place { photo: [200, 100], mapping: warp, given: None };
        assert_eq!(place.in_photo(&[25.0, 25.0, 50.0, 50.0]), [100.0, 50.0, 200.0, 100.0]);
    }
}
