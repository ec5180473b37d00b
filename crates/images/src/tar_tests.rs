use std::fs;

use super::*;

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (name, data) in members {
        writer.append(name, data).unwrap();
    }
    writer.finish().unwrap().0
}

fn scan_bytes(bytes: &[u8]) -> Result<Vec<Member>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    scan(file.path())
}

fn reason(bytes: &[u8]) -> String {
    let error = scan_bytes(bytes).unwrap_err();
    assert_eq!(error.code, TAR_MALFORMED);
    error.info.unwrap()
}

/// A header of `kind` for `name`, and its data.
fn entry(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = archive(&[(name, data)]);
    bytes.truncate(bytes.len() - 1024);
    bytes[156] = kind;
    seal(&mut bytes[..512]);
    bytes
}

/// Writes the checksum of a header.
fn seal(block: &mut [u8]) {
    let sum = checksum((&*block).try_into().unwrap());
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

const END: [u8; 1024] = [0; 1024];
/// Two records; each begins with its own length.
const PAX: &[u8] = b"27 path=photos/\xc3\xa4 long.jpg\n10 size=3\n";

#[test]
fn what_is_written_is_found() {
    let long = format!("{}/{}.jpg", "a".repeat(90), "b".repeat(60));
    let bytes = archive(&[("x/1.jpg", b"hello"), (&long, &[7; 1000]), ("empty", b""), ("./y.jpg", b"!")]);
    let members = scan_bytes(&bytes).unwrap();
    let found: Vec<(&str, &[u8])> = members
        .iter()
        .map(|m| (m.name.as_str(), &bytes[m.offset as usize..(m.offset + m.size) as usize]))
        .collect();
    assert_eq!(found, [("x/1.jpg", &b"hello"[..]), (&long, &[7; 1000]), ("empty", b""), ("y.jpg", b"!")]);
    assert_eq!(bytes.len() % 512, 0);
}

#[test]
fn pax_headers_prefixes_and_big_sizes_are_understood() {
    let pax = entry("PaxHeaders/x", b'x', PAX);
    let mut plain = entry("ignored", b'0', b"abc");
    // The size comes from the pax record.
    plain[124..136].copy_from_slice(b"00000000000\0");
    seal(&mut plain[..512]);
    let mut prefixed = entry("name.jpg", b'0', b"de");
    prefixed[345..351].copy_from_slice(b"folder");
    // GNU's binary numbers.
    prefixed[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    seal(&mut prefixed[..512]);
    let global = entry("g", b'g', b"13 comment=x\n");
    let members = scan_bytes(&[global, pax, plain, prefixed, END.to_vec()].concat()).unwrap();
    let found: Vec<_> = members.iter().map(|m| (m.name.as_str(), m.size)).collect();
    assert_eq!(found, [("photos/\u{e4} long.jpg", 3), ("folder/name.jpg", 2)]);
}

#[test]
fn links_and_folders_are_passed_over() {
    let bytes =
        [entry("d", b'5', b""), entry("l", b'2', b""), entry("old/", b'0', b""), entry("a", b'0', b"1")];
    let members = scan_bytes(&[bytes.concat(), END.to_vec()].concat()).unwrap();
    assert_eq!(members.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../x", "a/../../x", "/etc/passwd", "a\\..\\x", "./../x", ".//etc"] {
        let told = reason(&archive(&[(name, b"x")]));
        assert!(told.contains("leads out of the archive"), "{name}: {told}");
    }
    assert!(scan_bytes(&archive(&[("a..b/c", b"x")])).is_ok());
}

#[test]
fn every_truncation_is_found() {
    let bytes = archive(&[("a", &[1; 700]), ("b", b"xyz")]);
    // The second of the two blocks of zeros at the end is not needed.
    for length in 0..bytes.len() - 512 {
        assert!(scan_bytes(&bytes[..length]).is_err(), "{length}");
    }
    assert!(reason(&bytes[..1024]).contains("\"a\" has 700 bytes, but only 512 are left"));
    assert!(reason(&bytes[..1536]).contains("without the mark of the end"));
}

#[test]
fn sizes_beyond_the_file_are_refused() {
    let mut bytes = archive(&[("a", b"x")]);
    bytes[124..136].copy_from_slice(b"77777777777\0");
    seal(&mut bytes[..512]);
    assert!(reason(&bytes).contains("\"a\" has 8589934591 bytes"));
    bytes[124..136].fill(0xff);
    seal(&mut bytes[..512]);
    assert!(reason(&bytes).contains("size that is no number"));
    let huge = [entry("x", b'L', &vec![b'n'; 2 << 20]), END.to_vec()].concat();
    assert!(reason(&huge).contains("extension header of 2097152 bytes"));
}

#[test]
fn other_files_are_told_apart() {
    assert_eq!(scan(Path::new("/nowhere/x.tar")).unwrap_err().code, SOURCE_UNREADABLE);
    let compressed = scan_bytes(&[b"\x1f\x8b".as_slice(), &[9; 1000]].concat()).unwrap_err();
    assert!(compressed.message.ends_with("is compressed with gzip"), "{compressed}");
    assert!(reason(&[b'x'; 2000]).contains("no tar header here"));
    assert!(reason(b"").contains("without the mark"));
    assert_eq!(scan_bytes(&END).unwrap(), []);
}

/// No flipped byte makes the scanner panic, and what it finds lies within the file.
#[test]
fn flipped_bytes_do_no_harm() {
    let pax = entry("PaxHeaders/x", b'x', PAX);
    let long = archive(&[(&"n".repeat(130), &[1; 600])]);
    let bytes = [pax, entry("p", b'0', b"abc"), long].concat();
    for (at, flip) in (0..bytes.len()).flat_map(|at| [(at, 0xff), (at, 0x01), (at, 0x80)]) {
        let mut damaged = bytes.clone();
        damaged[at] ^= flip;
        // With a valid checksum, so that the fields behind it are reached.
        for header in (0..damaged.len())
            .step_by(512)
            .filter(|&h| at / 512 * 512 == h && bytes[h + 257..].starts_with(b"ustar"))
        {
            seal(&mut damaged[header..header + 512]);
        }
        let length = damaged.len() as u64;
        let scanner = Scanner { input: BufReader::new(io::Cursor::new(damaged)), length, at: 0 };
        for member in scanner.members().unwrap_or_default() {
            assert!(member.offset + member.size <= length);
        }
    }
}
