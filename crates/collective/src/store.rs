//! A client of the store that torchrun keeps for its ranks (PyTorch's `TCPStore`): texts and counts by key. A connection opens with a
//! byte and a magic number. A request is a byte that says which, a key, and a value; keys and texts follow their length (u64),
//! counts are i64, all with the bytes in the hosts' own order.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const VALIDATE: u8 = 0;
const SET: u8 = 1;
const GET: u8 = 3;
const ADD: u8 = 4;
const MAGIC: u32 = 0x3C85_F7CE;

/// Bytes of a text at most.
const LONGEST: u64 = 1 << 10;

/// A connection. After a failure it is of no use any more.
pub(crate) struct Store {
    stream: TcpStream,
}

impl Store {
    /// Connects; neither that nor any request waits longer than `timeout` for the other side.
    pub(crate) fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<Self> {
        let mut failure = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => return Self::over(stream, timeout),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn over(mut stream: TcpStream, timeout: Duration) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.write_all(&[&[VALIDATE], &MAGIC.to_ne_bytes()[..]].concat())?;
        Ok(Self { stream })
    }

    /// Leaves a text.
    pub(crate) fn set(&mut self, key: &str, text: &str) -> io::Result<()> {
        let mut request = vec![SET];
        put(&mut request, key);
        put(&mut request, text);
        self.stream.write_all(&request)
    }

    /// A text that somebody has left; a store does not answer before that.
    pub(crate) fn get(&mut self, key: &str) -> io::Result<String> {
        let mut request = vec![GET];
        put(&mut request, key);
        self.stream.write_all(&request)?;
        let length = u64::from_ne_bytes(self.read()?);
        if length > LONGEST {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("a text of {length} bytes")));
        }
        let mut text = vec![0; length as usize];
        self.stream.read_exact(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Adds to counts, of which each is 0 at first, and gives what they are then. One message goes and one comes.
    pub(crate) fn add(&mut self, changes: &[(String, i64)]) -> io::Result<Vec<i64>> {
        let mut request = Vec::new();
        for (key, change) in changes {
            request.push(ADD);
            put(&mut request, key);
            request.extend(change.to_ne_bytes());
        }
        self.stream.write_all(&request)?;
        changes.iter().map(|_| Ok(i64::from_ne_bytes(self.read()?))).collect()
    }

    fn read(&mut self) -> io::Result<[u8; 8]> {
        let mut bytes = [0; 8];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

fn put(request: &mut Vec<u8>, text: &str) {
    request.extend((text.len() as u64).to_ne_bytes());
    request.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// What `work` makes of a store that answers with `reply` once it has been asked `asked` bytes, and those bytes.
    fn with<T>(
        reply: &[u8],
        asked: usize,
        work: impl FnOnce(&mut Store) -> io::Result<T>,
    ) -> (io::Result<T>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::scope(|scope| {
            let server = scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = vec![0; asked];
                stream.read_exact(&mut request).unwrap();
                stream.write_all(reply).unwrap();
                request
            });
            let mut store = Store::connect("127.0.0.1", port, Duration::from_secs(10)).unwrap();
            let done = work(&mut store);
            (done, server.join().unwrap())
        })
    }

    /// The bytes that PyTorch's own client sends, on a host whose lowest byte comes first.
    #[test]
    #[cfg(target_endian = "little")]
    fn requests_are_those_of_the_protocol() {
        let hello = b"\0\xce\xf7\x85\x3c";
        let counts = [("a".into(), 1), ("bc".into(), 0)];
        let reply = [7i64.to_le_bytes(), 300i64.to_le_bytes()].concat();
        let (sums, asked) = with(&reply, 5 + 18 + 19, |store| store.add(&counts));
        assert_eq!(sums.unwrap(), [7, 300]);
        let add = b"\x04\x01\0\0\0\0\0\0\0a\x01\0\0\0\0\0\0\0\x04\x02\0\0\0\0\0\0\0bc\0\0\0\0\0\0\0\0";
        assert_eq!(asked, [&hello[..], add].concat());

        let (text, asked) = with(b"\x02\0\0\0\0\0\0\0hi", 5 + 19 + 10, |store| {
            store.set("k", "x")?;
            store.get("k")
        });
        assert_eq!(text.unwrap(), "hi");
        let both = b"\x01\x01\0\0\0\0\0\0\0k\x01\0\0\0\0\0\0\0x\x03\x01\0\0\0\0\0\0\0k";
        assert_eq!(asked, [&hello[..], both].concat());
    }

    #[test]
    fn a_length_is_not_believed() {
        let (text, _) = with(&u64::MAX.to_ne_bytes(), 15, |store| store.get("k"));
        let error = text.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(error.to_string(), format!("a text of {} bytes", u64::MAX));
    }

    #[test]
    fn an_answer_that_breaks_off_is_an_error() {
        let (counts, _) = with(&[0; 7], 23, |store| store.add(&[("a".into(), 1)]));
        assert_eq!(counts.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
