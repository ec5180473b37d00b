//! A folder of compiled kernels: one file each, whole or absent, and refused when damaged. A cache may fail in any way
//! without anybody noticing but by the time it takes.
//!
//! A file is the cubin (so every ELF tool reads it), the compiler's log, the length of the cubin (8 bytes, little endian)
//! and the SHA-256 of all that.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::nvrtc::Compiled;

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Where the result named `key` lies in `folder`.
pub(crate) fn path(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{key}.cubin"))
}

/// The result named `key`, if `folder` has it and it is intact.
pub(crate) fn load(folder: &Path, key: &str) -> Option<Compiled> {
    let bytes = fs::read(path(folder, key)).ok()?;
    let (content, checksum) = bytes.split_last_chunk::<32>()?;
    if Sha256::digest(content)[..] != checksum[..] {
        return None;
    }
    let (content, length) = content.split_last_chunk::<8>()?;
    let (cubin, log) = content.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    Some(Compiled { cubin: cubin.to_vec(), log: String::from_utf8(log.to_vec()).ok()? })
}

/// Keeps a result under `key`. Whether that worked may be ignored.
pub(crate) fn save(folder: &Path, key: &str, compiled: &Compiled) -> std::io::Result<()> {
    let mut bytes = compiled.cubin.clone();
    bytes.extend_from_slice(compiled.log.as_bytes());
    bytes.extend_from_slice(&(compiled.cubin.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&Sha256::digest(&bytes));
    fs::create_dir_all(folder)?;
    // Written under a name of its own: two processes may compile the same kernel at the same time.
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{key}.{}-{number}", std::process::id()));
    let written = fs::write(&temporary, &bytes).and_then(|()| fs::rename(&temporary, path(folder, key)));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled() -> Compiled {
        Compiled { cubin: vec![0x7f, b'E', b'L', b'F', 0, 255], log: "Used 8 registers\n".into() }
    }

    #[test]
    fn what_is_kept_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("not/yet/there");
        assert_eq!(load(&inside, "k"), None);
        save(&inside, "k", &compiled()).unwrap();
        assert_eq!(load(&inside, "k"), Some(compiled()));
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 1, "no temporary file stays");
        save(&inside, "k", &Compiled { log: String::new(), ..compiled() }).unwrap();
        assert_eq!(load(&inside, "k").unwrap().log, "");
    }

    #[test]
    fn any_damaged_byte_and_any_cut_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), "k", &compiled()).unwrap();
        let place = path(folder.path(), "k");
        let whole = fs::read(&place).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&place, bytes).unwrap();
            assert_eq!(load(folder.path(), "k"), None, "byte {at}");
            fs::write(&place, &whole[..at]).unwrap();
            assert_eq!(load(folder.path(), "k"), None, "cut at {at}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error_without_remains() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(save(&folder.path().join("file/below"), "k", &compiled()).is_err());
        // A folder under the final name: the rename fails.
        fs::create_dir_all(path(folder.path(), "k").join("full")).unwrap();
        assert!(save(folder.path(), "k", &compiled()).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
