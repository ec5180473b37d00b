use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};
use ilsvrc_diagnostics::ANNOTATION_MALFORMED;

use super::*;

// Made by tests/data/make_meta.py (SciPy).
const META_2012: &[u8] = include_bytes!("../../tests/data/meta-2012.mat");
const META_2010: &[u8] = include_bytes!("../../tests/data/meta-2010.mat");
const META_PLAIN: &[u8] = include_bytes!("../../tests/data/meta-plain.mat");

fn message(file: &[u8]) -> String {
    let error = synsets(file).unwrap_err();
    assert_eq!(error.code, ANNOTATION_MALFORMED);
    error.message
}

#[test]
fn the_kit_of_2012_has_a_thousand_leaves() {
    let synsets = synsets(META_2012).unwrap();
    assert_eq!(synsets.len(), 1020);
    assert!(synsets.iter().zip(1..).all(|(synset, id)| synset.id == id));
    let leaves: Vec<_> = synsets.iter().filter(|synset| synset.num_children == 0).collect();
    assert_eq!((leaves.len(), leaves.iter().map(|leaf| leaf.id).max()), (1000, Some(1000)));
    assert!(!leaves.is_sorted_by_key(|leaf| &leaf.wnid));
    assert_eq!(leaves.iter().filter(|leaf| leaf.words == "crane").count(), 2);
    let tench = leaves.iter().find(|leaf| leaf.wnid == "n01440764").unwrap();
    assert_eq!((tench.words.as_str(), tench.gloss.as_str()), ("tench, Tinca tinca", "a gloss"));
    assert!(tench.num_train_images >= 732);
    assert_eq!((synsets[1000].num_children, synsets[1000].num_train_images), (50, 0));
}

#[test]
fn the_kit_of_2010_and_an_uncompressed_one() {
    let old = synsets(META_2010).unwrap();
    assert_eq!((old.len(), old[3].id, old[3].words.as_str()), (4, 4, "caf\u{e9}"));
    let plain = synsets(META_PLAIN).unwrap();
    assert_eq!((plain.len(), plain[2].num_children), (3, 2));
    assert_eq!(plain[..2], synsets(META_2012).unwrap()[..2]);
}

/// A writer of MAT-files in both byte orders, for what SciPy does not write.
#[derive(Clone, Copy)]
struct Mat {
    big_endian: bool,
}

impl Mat {
    fn word(self, value: u32) -> [u8; 4] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn element(self, kind: u32, data: &[u8]) -> Vec<u8> {
        if (1..=4).contains(&data.len()) {
            let mut small = self.word((data.len() as u32) << 16 | kind).to_vec();
            small.extend(data);
            small.resize(8, 0);
            return small;
        }
        let mut element = [self.word(kind), self.word(data.len() as u32)].concat();
        element.extend(data);
        element.resize(element.len().next_multiple_of(8), 0);
        element
    }

    fn array(self, class: u32, columns: usize, name: &str, body: &[u8]) -> Vec<u8> {
        let flags = self.element(6, &[self.word(class), self.word(0)].concat());
        let dimensions = self.element(5, &[self.word(1), self.word(columns as u32)].concat());
        self.element(14, &[&flags, &dimensions, &self.element(1, name.as_bytes()), body].concat())
    }

    fn text(self, kind: u32, columns: usize, data: &[u8]) -> Vec<u8> {
        self.array(4, columns, "", &self.element(kind, data))
    }

    fn number(self, class: u32, kind: u32, data: &[u8]) -> Vec<u8> {
        self.array(class, 1, "", &self.element(kind, data))
    }

    /// `synsets` with the fields of [`FIELDS`], from the values of one element after the other.
    fn synsets(self, values: &[Vec<u8>]) -> Vec<u8> {
        let mut names: Vec<u8> = Vec::new();
        for (i, field) in FIELDS.iter().enumerate() {
            names.extend(field.as_bytes());
            names.resize((i + 1) * 16, 0);
        }
        let body = [self.element(5, &self.word(16)), self.element(1, &names), values.concat()].concat();
        self.array(2, values.len() / FIELDS.len(), "synsets", &body)
    }

    fn file(self, variables: &[Vec<u8>]) -> Vec<u8> {
        let mut file = vec![b' '; 124];
        file.extend(if self.big_endian { b"\x01\x00MI" } else { b"\x00\x01IM" });
        file.extend(variables.concat());
        file
    }

    fn compressed(self, variable: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(variable).unwrap();
        let data = encoder.finish().unwrap();
        [&self.word(15)[..], &self.word(data.len() as u32), &data].concat()
    }

    /// Values of one element, a kind of storage each.
    fn element_values(self) -> Vec<Vec<u8>> {
        vec![
            // A double stored in a byte, as MATLAB does.
            self.number(6, 2, &[7]),
            self.text(4, 2, &self.units("n\u{e9}")),
            self.text(16, 3, "caf".as_bytes()),
            self.number(12, 5, &self.word(3)),
            // A cell with an array in it, which nobody asks for.
            self.array(1, 1, "", &self.number(6, 9, &[0; 8])),
        ]
    }

    fn units(self, text: &str) -> Vec<u8> {
        let bytes = |unit: u16| if self.big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
        text.encode_utf16().flat_map(bytes).collect()
    }
}

const FIELDS: [&str; 5] = ["ILSVRC2012_ID", "WNID", "words", "num_children", "other"];
const LITTLE: Mat = Mat { big_endian: false };

#[test]
fn both_byte_orders_small_elements_and_other_variables() {
    for mat in [LITTLE, Mat { big_endian: true }] {
        let (other, variable) =
            (mat.array(6, 3, "cost", &mat.element(2, &[1, 2, 3])), mat.synsets(&mat.element_values()));
        let opaque = mat.element(14, &mat.element(6, &[mat.word(17), mat.word(0)].concat()));
        let expected = Synset {
            id: 7,
            wnid: "n\u{e9}".to_owned(),
            words: "caf".to_owned(),
            gloss: String::new(),
            num_children: 3,
            num_train_images: 0,
        };
        let plain = mat.file(&[opaque.clone(), other.clone(), variable.clone()]);
        assert_eq!(synsets(&plain).unwrap(), std::slice::from_ref(&expected));
        let packed = mat.file(&[mat.compressed(&other), mat.compressed(&variable), opaque]);
        assert_eq!(synsets(&packed).unwrap(), [expected]);
    }
}

#[test]
fn every_storage_of_numbers_and_texts() {
    let id = |value| {
        let mut values = LITTLE.element_values();
        values[0] = value;
        synsets(&LITTLE.file(&[LITTLE.synsets(&values)])).map(|synsets| synsets[0].id)
    };
    let numbers: [(u32, &[u8]); 10] = [
        (1, &[5]),
        (2, &[5]),
        (3, &[5, 0]),
        (4, &[5, 0]),
        (5, &[5, 0, 0, 0]),
        (6, &[5, 0, 0, 0]),
        (7, &5f32.to_le_bytes()),
        (9, &5f64.to_le_bytes()),
        (12, &5i64.to_le_bytes()),
        (13, &5u64.to_le_bytes()),
    ];
    for (kind, data) in numbers {
        assert_eq!(id(LITTLE.number(6, kind, data)).unwrap(), 5, "type {kind}");
    }
    for value in [-1.0, 0.0, 1.5, f64::NAN, f64::INFINITY, 4_294_967_296.0] {
        assert!(id(LITTLE.number(6, 9, &value.to_le_bytes())).is_err(), "{value}");
    }
    assert!(
        id(LITTLE.number(6, 9, &[0; 4])).unwrap_err().message.ends_with("4 bytes of type 9 are not a number")
    );

    let words = |kind, columns, data: &[u8]| {
        let mut values = LITTLE.element_values();
        values[2] = LITTLE.text(kind, columns, data);
        synsets(&LITTLE.file(&[LITTLE.synsets(&values)])).map(|mut synsets| synsets.remove(0).words)
    };
    let expected = "\u{e9}\u{1f600}";
    let wide: Vec<u8> = expected.chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
    assert_eq!(words(17, 3, &LITTLE.units(expected)).unwrap(), expected);
    assert_eq!(words(18, 2, &wide).unwrap(), expected);
    assert_eq!(words(16, 2, expected.as_bytes()).unwrap(), expected);
    assert_eq!(words(2, 1, &[0xe9]).unwrap(), "\u{e9}");
    assert_eq!(words(4, 0, &[]).unwrap(), "");
    for (kind, columns, data) in [
        (16, 1, &b"\xff"[..]),
        (4, 1, b"a"),
        (17, 1, b"\x00\xd8"),
        (18, 1, b"\x00\xd8\x00\x00"),
        (9, 1, b"a"),
        (2, 5, b"abc"),
    ] {
        assert!(words(kind, columns, data).is_err(), "type {kind}");
    }
    assert!(words(2, 70_000, &[b'x'; 70_000]).unwrap_err().message.ends_with("at most 65536 are read"));
}

#[test]
fn what_is_wrong_is_named() {
    let with = |place: usize, value: Vec<u8>| {
        let mut values = LITTLE.element_values();
        values[place] = value;
        message(&LITTLE.file(&[LITTLE.synsets(&values)]))
    };
    let table = [
        (
            with(0, LITTLE.text(16, 1, b"7")),
            "synsets: element 1, field ILSVRC2012_ID: 1 elements of class 4; expected 1 number (class 6 to 15)",
        ),
        (with(0, LITTLE.number(6, 2, &[0])), "synsets: element 1: ID 0; IDs are unique and start at 1"),
        (
            with(1, LITTLE.number(6, 2, &[7])),
            "synsets: element 1, field WNID: an array of class 6; expected text (class 4)",
        ),
        (with(1, LITTLE.element(14, &[])), "synsets: element 1: WNID \"\"; WNIDs are unique and not empty"),
    ];
    for (seen, expected) in table {
        assert_eq!(seen, expected);
    }
    let twice = [LITTLE.element_values(), LITTLE.element_values()].concat();
    let seen = message(&LITTLE.file(&[LITTLE.synsets(&twice)]));
    assert_eq!(seen, "synsets: element 2: ID 7; IDs are unique and start at 1");
    assert_eq!(message(&LITTLE.file(&[])), "no variable synsets; meta.mat of a development kit has it");
    let seen = message(&LITTLE.file(&[LITTLE.array(6, 1, "synsets", &LITTLE.element(2, &[1]))]));
    assert_eq!(seen, "synsets: an array of class 6; expected structs (class 2)");
    let mut renamed = META_PLAIN.to_vec();
    let at = renamed.windows(5).position(|name| name == b"WNID\0").unwrap();
    renamed[at] = b'X';
    assert_eq!(message(&renamed), "synsets: 0 fields named WNID; one is due");
}

#[test]
fn other_files_are_recognised() {
    assert_eq!(message(b"short"), "5 bytes; a MAT-file has a header of 128");
    assert_eq!(message(&[0; 200]), "not a MATLAB 5 MAT-file: bytes 126 and 127 are neither IM nor MI");
    let mut newer = META_PLAIN.to_vec();
    newer[125] = 2;
    assert!(message(&newer).contains("7.3 (HDF5)"));
}

#[test]
fn a_bomb_is_not_inflated() {
    let bomb = LITTLE.compressed(&vec![0; (64 << 20) + 1]);
    assert!(message(&LITTLE.file(&[bomb])).contains("more than the 67108864 bytes allowed"));
}

#[test]
fn claims_beyond_the_file_are_refused() {
    let huge = LITTLE.synsets(&LITTLE.element_values());
    let mut claimed = LITTLE.file(&[huge]);
    // The number of columns, behind the tags of the variable, its flags (16 bytes) and its dimensions.
    claimed[128 + 8 + 16 + 8 + 4..][..4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    assert!(message(&claimed).starts_with("synsets: 2147483647 structs of 5 fields in "));
}

#[test]
fn no_cut_nor_flipped_byte_panics() {
    let mut errors = 0;
    for length in 0..META_PLAIN.len() {
        errors += usize::from(synsets(&META_PLAIN[..length]).is_err());
    }
    assert!(errors >= META_PLAIN.len() - 8, "only padding may be missing");
    for at in 0..META_PLAIN.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = META_PLAIN.to_vec();
            damaged[at] ^= flip;
            let _ = synsets(&damaged);
        }
    }
}
