//! PASCAL VOC annotations, an XML file an image: `annotation/{filename, size/{width, height}, object*}`, each object with
//! `name`, `difficult` and `bndbox/{xmin, ymin, xmax, ymax}` (pixels). ImageNet's boxes come this way, one folder a WNID.

use ilsvrc_diagnostics::Result;
use roxmltree::{Document, Node, ParsingOptions};

use super::boxes::{between, coordinate};
use super::lines::without_mark;
use super::{malformed, shown};

const MAX_BYTES: usize = 1 << 20;
const MAX_NODES: u32 = 1 << 18;
/// The largest side that an image may have.
const MAX_SIDE: u32 = 1 << 20;

/// What is known of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// The image's name as the file gives it: often without an extension, `%s` in some of ImageNet's, or empty.
    pub filename: String,
    /// In pixels; may differ from the image's own where that was resized after it was annotated.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Objects whose box has an area, in the file's order.
    pub objects: Vec<Object>,
}

/// An object in an image, in pixels; `left < right` and `top < bottom`. The box may reach beyond the image's edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The class: a WNID, or a word (some of ImageNet's dogs have one).
    pub name: String,
    /// Marked as hard to recognise.
    pub difficult: bool,
    /// First column.
    pub left: f32,
    /// First row.
    pub top: f32,
    /// Last column.
    pub right: f32,
    /// Last row.
    pub bottom: f32,
}

/// The annotation in `bytes`. Corners in the wrong order are put right, and objects without area left out.
pub fn annotation(bytes: &[u8]) -> Result<Annotation> {
    if bytes.len() > MAX_BYTES {
        return Err(malformed(format!(
            "an annotation of {} bytes; at most {MAX_BYTES} are read",
            bytes.len()
        )));
    }
    let text = std::str::from_utf8(without_mark(bytes))
        .map_err(|error| malformed(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|error| malformed(format!("not XML: {error}")))?;
    read(document.root_element()).map_err(malformed)
}

fn read(root: Node<'_, '_>) -> Result<Annotation, String> {
    if !root.has_tag_name("annotation") {
        return Err(format!("the root is <{}>; expected <annotation>", root.tag_name().name()));
    }
    let size = child(root, "size")?;
    let objects = root.children().filter(|node| node.has_tag_name("object")).enumerate();
    let objects = objects.filter_map(|(i, node)| {
        object(node).map_err(|reason| format!("object {}: {reason}", i + 1)).transpose()
    });
    Ok(Annotation {
        filename: child(root, "filename").map_or(String::new(), |node| content(node).to_owned()),
        width: side(size, "width")?,
        height: side(size, "height")?,
        objects: objects.collect::<Result<_, _>>()?,
    })
}

fn object(node: Node<'_, '_>) -> Result<Option<Object>, String> {
    let name = content(child(node, "name")?);
    if name.is_empty() {
        return Err("<name> is empty".to_owned());
    }
    let difficult = match child(node, "difficult").map_or("0", content) {
        "" | "0" => false,
        "1" => true,
        other => return Err(format!("<difficult> is {}; expected 0 or 1", shown(other.as_bytes()))),
    };
    let bounds = child(node, "bndbox")?;
    let corner =
        |name| coordinate(content(child(bounds, name)?)).map_err(|reason| format!("<{name}> {reason}"));
    let rect = between([corner("xmin")?, corner("ymin")?, corner("xmax")?, corner("ymax")?]);
    let name = name.to_owned();
    Ok(rect.map(|[left, top, right, bottom]| Object { name, difficult, left, top, right, bottom }))
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Result<Node<'a, 'i>, String> {
    let found = node.children().find(|child| child.has_tag_name(name));
    found.ok_or_else(|| format!("<{}> has no <{name}>", node.tag_name().name()))
}

fn content<'a>(node: Node<'a, '_>) -> &'a str {
    node.text().unwrap_or_default().trim()
}

fn side(size: Node<'_, '_>, name: &str) -> Result<u32, String> {
    let text = content(child(size, name)?);
    let side = text.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
    side.ok_or_else(|| format!("<{name}> is {}; expected 1 to {MAX_SIDE} pixels", shown(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As ImageNet has them.
    const TENCH: &str = "<annotation>\r\n<folder>n01440764</folder><filename>n01440764_18</filename>\
        <source><database>ImageNet database</database></source>\
        <size><width>500</width><height> 334 </height><depth>3</depth></size><segmented>0</segmented>\
        <object><name>n01440764</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>\
        <bndbox><xmin>82</xmin><ymin>46.5</ymin><xmax>447</xmax><ymax>220</ymax></bndbox></object>\
        <object><name>n01440764</name><difficult>1</difficult>\
        <bndbox><xmin>9</xmin><ymin>0</ymin><xmax>3</xmax><ymax>600</ymax></bndbox></object>\
        <object><name>n01440764</name>\
        <bndbox><xmin>9</xmin><ymin>0</ymin><xmax>9</xmax><ymax>60</ymax></bndbox></object>\
        </annotation>\n";

    #[test]
    fn imagenet_annotation() {
        let name = "n01440764".to_owned();
        let expected = Annotation {
            filename: "n01440764_18".to_owned(),
            width: 500,
            height: 334,
            objects: vec![
                Object {
                    name: name.clone(),
                    difficult: false,
                    left: 82.0,
                    top: 46.5,
                    right: 447.0,
                    bottom: 220.0,
                },
                Object { name, difficult: true, left: 3.0, top: 0.0, right: 9.0, bottom: 600.0 },
            ],
        };
        assert_eq!(annotation(TENCH.as_bytes()).unwrap(), expected);
        assert_eq!(annotation(format!("\u{feff}{TENCH}").as_bytes()).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let table = [
            ("<width>500</width>", "", "<size> has no <width>"),
            ("500", "0", "<width> is \"0\"; expected 1 to 1048576 pixels"),
            ("500", "5e2", "<width> is \"5e2\"; expected 1 to 1048576 pixels"),
            ("<xmin>82</xmin>", "", "object 1: <bndbox> has no <xmin>"),
            ("82", "NaN", "object 1: <xmin> \"NaN\" is not a coordinate (a number of pixels)"),
            ("600", "1e39", "object 2: <ymax> \"1e39\" is not a coordinate (a number of pixels)"),
            ("<difficult>1", "<difficult>yes", "object 2: <difficult> is \"yes\"; expected 0 or 1"),
            ("<name>n01440764</name><pose>", "<name/><pose>", "object 1: <name> is empty"),
        ];
        for (from, to, message) in table {
            let error = annotation(TENCH.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert_eq!(error.message, message);
        }
        assert_eq!(annotation(b"<html/>").unwrap_err().message, "the root is <html>; expected <annotation>");
    }

    #[test]
    fn hostile_xml_is_refused() {
        for prefix in
            ["<!DOCTYPE a [<!ENTITY x \"y\">]>", "<!DOCTYPE annotation SYSTEM \"file:///etc/passwd\">"]
        {
            assert!(
                annotation(format!("{prefix}{TENCH}").as_bytes())
                    .unwrap_err()
                    .message
                    .starts_with("not XML: ")
            );
        }
        assert!(annotation(&TENCH.as_bytes()[..300]).unwrap_err().message.starts_with("not XML: "));
        assert!(annotation(b"\xff").unwrap_err().message.starts_with("not UTF-8 at byte 0"));
        assert!(annotation(b"").is_err());
        assert!(annotation("<a>".repeat(MAX_BYTES / 3).as_bytes()).is_err());
        let many = format!("<annotation>{}</annotation>", "<a/>".repeat(MAX_BYTES / 4 - 10));
        assert!(annotation(many.as_bytes()).is_err());
        assert!(annotation(&vec![b' '; MAX_BYTES + 1]).is_err());
    }
}
