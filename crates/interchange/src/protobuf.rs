//! The wire format of Protocol Buffers (<https://protobuf.dev/programming-guides/encoding>): fields as slices of the bytes
//! they lie in, and messages appended to a vector. A generated reader would make a struct of every two bytes that claim to
//! be a message; this one allocates nothing.

use crate::Malformed;

/// What a field holds, by its wire type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64,
    Bytes(&'a [u8]),
}

/// The fields of a message in the order of the file: number and value. Ends after the first malformed one.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| Malformed(format!("a field has the tag {tag}")))?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Fixed64
            }
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                let bytes = self.take(4)?;
                Value::Fixed32(bytes.try_into().expect("four bytes were taken"))
            }
            other => return Err(Malformed(format!("field {number} has the unknown wire type {other}"))),
        };
        Ok((number, value))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let Some((taken, rest)) = split else {
            let left = self.rest.len();
            return Err(Malformed(format!("a field should have {length} bytes, of which {left} are there")));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (index, byte) in self.rest.iter().enumerate().take(10) {
            // The tenth byte has room for one bit.
            if index == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(Malformed(
            if self.rest.len() < 10 { "it ends within a number" } else { "a number is too long" }.into(),
        ))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    pub(crate) fn number(self) -> Result<u64, Malformed> {
        match self {
            Self::Varint(number) => Ok(number),
            other => Err(Malformed(format!("a number is stored as {}", other.kind()))),
        }
    }

    /// A number that sizes or counts something; negative ones are huge here.
    pub(crate) fn size(self) -> Result<usize, Malformed> {
        let number = self.number()?;
        let small = u32::try_from(number).ok().and_then(|number| usize::try_from(number).ok());
        small.ok_or_else(|| Malformed(format!("{} is no size", number.cast_signed())))
    }

    pub(crate) fn float(self) -> Result<f32, Malformed> {
        match self {
            Self::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            other => Err(Malformed(format!("a fraction is stored as {}", other.kind()))),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => Err(Malformed(format!("a text or message is stored as {}", other.kind()))),
        }
    }

    pub(crate) fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("a name is not UTF-8".into()))
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Varint(_) => "a whole number",
            Self::Fixed32(_) | Self::Fixed64 => "a fraction",
            Self::Bytes(_) => "a text or message",
        }
    }
}

/// The numbers of a packed field.
pub(crate) fn packed(bytes: &[u8]) -> impl Iterator<Item = Result<u64, Malformed>> {
    let mut fields = Fields::of(bytes);
    std::iter::from_fn(move || {
        if fields.rest.is_empty() {
            return None;
        }
        let number = fields.varint();
        if number.is_err() {
            fields.rest = &[];
        }
        Some(number)
    })
}

/// A message that is being written.
#[derive(Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    pub(crate) fn number(&mut self, field: u32, number: u64) {
        self.varint(u64::from(field) << 3);
        self.varint(number);
    }

    pub(crate) fn float(&mut self, field: u32, value: f32) {
        self.varint(u64::from(field) << 3 | 5);
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn text(&mut self, field: u32, text: &str) {
        self.begin(field, text.len());
        self.0.extend(text.as_bytes());
    }

    /// A message within this one.
    pub(crate) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.begin(field, inner.0.len());
        self.0.append(&mut inner.0);
    }

    /// Tag and length of a field whose bytes the caller writes.
    pub(crate) fn begin(&mut self, field: u32, length: usize) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(length as u64);
    }

    fn varint(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Result<Vec<(u32, Value<'_>)>, Malformed> {
        Fields::of(bytes).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut message = Message::default();
        message.number(1, 300);
        message.number(15, u64::MAX);
        message.float(2, 0.75);
        message.message(1001, |inner| inner.text(4, "conv1"));
        assert_eq!(message.0[..3], [0x08, 0xac, 0x02], "the guide's example: field 1 is 300");
        let inner = [0x22, 5, b'c', b'o', b'n', b'v', b'1'];
        let expected = [
            (1, Value::Varint(300)),
            (15, Value::Varint(u64::MAX)),
            (2, Value::Fixed32(0.75_f32.to_le_bytes())),
            (1001, Value::Bytes(&inner)),
        ];
        assert_eq!(fields(&message.0), Ok(expected.to_vec()));
        for length in 0..message.0.len() {
            if let Ok(fewer) = fields(&message.0[..length]) {
                assert!(expected.starts_with(&fewer), "cut at {length}");
            }
        }
    }

    #[test]
    fn what_leads_out_is_refused() {
        let length_beyond = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1];
        let endless = [0x80; 12];
        for bytes in [
            &[0x0a, 5, 1][..],
            &[0x0d, 1],
            &[0x09, 1],
            &[0x08],
            &[0x00, 1],
            &[0x0b],
            &length_beyond,
            &endless,
        ] {
            assert!(fields(bytes).is_err(), "{bytes:?}");
        }
        assert!(Value::Varint(u64::MAX).size().is_err(), "-1 is no size");
        assert_eq!(packed(&[1, 0xac, 0x02]).collect::<Result<Vec<_>, _>>(), Ok(vec![1, 300]));
        assert!(packed(&[0x80]).collect::<Result<Vec<_>, _>>().is_err());
    }
}
