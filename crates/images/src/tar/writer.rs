//! A writer of deterministic archives.

use std::io::{self, Write};

use super::BLOCK;
use super::header::checksum;

/// Writes an archive whose bytes depend on nothing but the members: owner 0, time 0, mode 644.
pub struct Writer<W> {
    out: W,
    at: u64,
}

impl<W: Write> Writer<W> {
    /// Starts an archive.
    pub fn new(out: W) -> Self {
        Self { out, at: 0 }
    }

    /// Adds a file and returns where its bytes start. A name of more than 100 bytes gets a GNU long-name header.
    pub fn append(&mut self, name: &str, data: &[u8]) -> io::Result<u64> {
        if name.len() > 100 {
            let terminated = [name.as_bytes(), b"\0"].concat();
            self.entry("././@LongLink", b'L', &terminated)?;
        }
        self.entry(name, b'0', data)
    }

    /// Ends the archive; returns the output and the length written.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        self.write(&[0; 2 * BLOCK as usize])?;
        Ok((self.out, self.at))
    }

    fn entry(&mut self, name: &str, kind: u8, data: &[u8]) -> io::Result<u64> {
        let mut block = [0; BLOCK as usize];
        let stored = name.len().min(100);
        block[..stored].copy_from_slice(&name.as_bytes()[..stored]);
        block[100..108].copy_from_slice(b"0000644\0");
        block[108..116].copy_from_slice(b"0000000\0");
        block[116..124].copy_from_slice(b"0000000\0");
        block[124..136].copy_from_slice(format!("{:011o}\0", data.len()).as_bytes());
        block[136..148].copy_from_slice(b"00000000000\0");
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        let sum = checksum(&block);
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.write(&block)?;
        let offset = self.at;
        self.write(data)?;
        let padding = (BLOCK - data.len() as u64 % BLOCK) % BLOCK;
        self.write(&[0; BLOCK as usize][..padding as usize])?;
        Ok(offset)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}
