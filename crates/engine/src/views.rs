//! The views of an image that are averaged at test time (Krizhevsky, Sutskever and Hinton 2012, section 4.1).

use ilsvrc_images::CropView;
use ilsvrc_network::{Net, View};
use serde::Deserialize;

/// How many crops of an image are averaged. In JSON the number 1, 9 or 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
pub enum Views {
    /// The centre crop.
    Centre,
    /// Three by three places from border to border, not mirrored: the test on several views that cuda-convnet had in 2011.
    Nine,
    /// The four corners and the centre, each also mirrored.
    Ten,
}

impl TryFrom<u8> for Views {
    type Error = String;

    fn try_from(count: u8) -> Result<Self, String> {
        match count {
            1 => Ok(Self::Centre),
            9 => Ok(Self::Nine),
            10 => Ok(Self::Ten),
            other => Err(format!("{other} views; there are 1, 9 or 10")),
        }
    }
}

impl Views {
    /// The crops of image 0 for `net`, in the order in which they are averaged.
    pub(crate) fn of(self, net: &Net) -> Vec<View> {
        let room = (net.image - net.crop) as u16;
        let (centre, places) = ([room / 2, room / 2], [0, room / 2, room]);
        let (corners, mirrors): (Vec<_>, &[_]) = match self {
            Self::Centre => (vec![centre], &[false]),
            Self::Nine => {
                (places.iter().flat_map(|&row| places.map(|column| [row, column])).collect(), &[false])
            }
            Self::Ten => (vec![[0, 0], [0, room], [room, 0], [room, room], centre], &[false, true]),
        };
        let view = |crop, mirror| View { image: 0, crop, mean: crop, mirror, colour: [0.0; 3] };
        mirrors.iter().flat_map(|&mirror| corners.iter().map(move |&crop| view(crop, mirror))).collect()
    }
}

/// The loader's random crop of an image of the batch as the net's input takes it.
pub(crate) fn from_crop(image: u32, view: &CropView) -> View {
    View { image, crop: view.crop, mean: view.mean, mirror: view.mirror, colour: view.colour }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views(views: Views, image: usize, crop: usize) -> Vec<View> {
        views.of(&Net { name: String::new(), image, crop, towers: 1, layers: vec![] })
    }

    #[test]
    fn ten_views_of_the_papers_net() {
        let ten = views(Views::Ten, 256, 224);
        assert_eq!(ten.len(), 10);
        let corners: Vec<_> = ten[..5].iter().map(|view| view.crop).collect();
        assert_eq!(corners, [[0, 0], [0, 32], [32, 0], [32, 32], [16, 16]]);
        for (plain, mirrored) in ten[..5].iter().zip(&ten[5..]) {
            assert_eq!((plain.crop, plain.mirror, mirrored.mirror), (mirrored.crop, false, true));
            assert_eq!(plain.mean, plain.crop);
        }
    }

    #[test]
    fn nine_views_of_a_cifar_net() {
        let nine = views(Views::Nine, 32, 24);
        let corners: Vec<_> = nine.iter().map(|view| view.crop).collect();
        assert_eq!(corners, [[0, 0], [0, 4], [0, 8], [4, 0], [4, 4], [4, 8], [8, 0], [8, 4], [8, 8]]);
        assert!(nine.iter().all(|view| view.mean == view.crop && !view.mirror));
    }

    #[test]
    fn an_image_as_large_as_the_crop_has_one_place() {
        assert!(views(Views::Ten, 32, 32).iter().all(|view| view.crop == [0, 0]));
        assert_eq!(views(Views::Centre, 37, 32)[0].crop, [2, 2]);
    }
}
