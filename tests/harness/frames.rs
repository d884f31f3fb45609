//! Frames of the binary protocol: how a script describes them, and their bytes.
//!
//! ```text
//! set k=a x=7,0 v=hello c=2 o=1234       a request or an answer: opcode, key, extras, value, cas id, opaque
//! get s=1 v=Not\x20found                 an answer with a status, in hexadecimal
//! 0x1b keylen=3 bodylen=4 magic=0x81     other opcodes, and fields that are wrong
//! ```
//! Fields that are not given are empty or 0, the opaque is `oooo`, and lengths are right. Extras are
//! numbers of four bytes, or of the number of bytes after a colon: `x=5:8,1:8,0`. This module does not
//! know what a frame means.

/// Names of opcodes, by opcode.
const NAMES: [&str; 0x25] = [
    "get",
    "set",
    "add",
    "replace",
    "delete",
    "increment",
    "decrement",
    "quit",
    "flush",
    "getq",
    "noop",
    "version",
    "getk",
    "getkq",
    "append",
    "prepend",
    "stat",
    "setq",
    "addq",
    "replaceq",
    "deleteq",
    "incrementq",
    "decrementq",
    "quitq",
    "flushq",
    "appendq",
    "prependq",
    "",
    "touch",
    "gat",
    "gatq",
    "",
    "sasl_list_mechs",
    "sasl_auth",
    "sasl_step",
    "gatk",
    "gatkq",
];

/// The opcode of this name.
pub(crate) fn opcode(name: &str) -> u8 {
    let index = NAMES.iter().position(|known| *known == name).expect(name);
    u8::try_from(index).unwrap()
}

/// A frame whose header may contradict its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) magic: u8,
    pub(crate) opcode: u8,
    /// In the field after the data type: the status of an answer; without a meaning in a request.
    pub(crate) status: u16,
    pub(crate) extras: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) opaque: [u8; 4],
    pub(crate) cas: u64,
    /// Lengths of the key, the extras and the body, where they are not the right ones.
    pub(crate) key_bytes: Option<u16>,
    pub(crate) extras_bytes: Option<u8>,
    pub(crate) body_bytes: Option<u32>,
}

impl Frame {
    /// A frame without a body.
    pub(crate) const fn new(magic: u8, opcode: u8) -> Self {
        Self {
            magic,
            opcode,
            status: 0,
            extras: Vec::new(),
            key: Vec::new(),
            value: Vec::new(),
            opaque: *b"oooo",
            cas: 0,
            key_bytes: None,
            extras_bytes: None,
            body_bytes: None,
        }
    }

    /// A request without a body.
    pub(crate) fn request(name: &str) -> Self {
        Self::new(0x80, opcode(name))
    }

    pub(crate) fn key(self, key: &[u8]) -> Self {
        Self { key: key.to_vec(), ..self }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let body = [&self.extras[..], &self.key, &self.value].concat();
        let key_bytes = self.key_bytes.unwrap_or_else(|| self.key.len().try_into().unwrap());
        let body_bytes = self.body_bytes.unwrap_or_else(|| body.len().try_into().unwrap());
        let mut out = vec![self.magic, self.opcode];
        out.extend(key_bytes.to_be_bytes());
        out.push(self.extras_bytes.unwrap_or_else(|| self.extras.len().try_into().unwrap()));
        out.push(0);
        out.extend(self.status.to_be_bytes());
        out.extend(body_bytes.to_be_bytes());
        out.extend(self.opaque);
        out.extend(self.cas.to_be_bytes());
        out.extend(body);
        out
    }

    /// The frame at the start of `bytes`, and what follows it. `None` if it is not whole.
    pub(crate) fn split_from(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (header, rest) = bytes.split_first_chunk::<24>()?;
        let number = |range: std::ops::Range<usize>| {
            header[range].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
        };
        let length = |range| usize::try_from(number(range)).unwrap();
        let (body, rest) = rest.split_at_checked(length(8..12))?;
        let (extras, body) = body.split_at_checked(length(4..5))?;
        let (key, value) = body.split_at_checked(length(2..4))?;
        let frame = Self {
            status: number(6..8).try_into().unwrap(),
            extras: extras.to_vec(),
            key: key.to_vec(),
            value: value.to_vec(),
            opaque: header[12..16].try_into().unwrap(),
            cas: number(16..24),
            ..Self::new(header[0], header[1])
        };
        Some((frame, rest))
    }
}

/// The frame that a line of a script describes; `unescape` makes bytes of a word's escapes.
pub(crate) fn parse(line: &str, magic: u8, unescape: impl Fn(&str) -> Vec<u8>) -> Vec<u8> {
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let name = words.next().expect(line);
    let mut frame = match name.strip_prefix("0x") {
        Some(digits) => Frame::new(magic, u8::from_str_radix(digits, 16).unwrap()),
        None => Frame::new(magic, opcode(name)),
    };
    for word in words {
        let (field, text) = word.split_once('=').expect(line);
        match field {
            "k" => frame.key = unescape(text),
            "v" => frame.value = unescape(text),
            "x" => frame.extras = text.split(',').flat_map(number_bytes).collect(),
            "c" => frame.cas = text.parse().unwrap(),
            "o" => frame.opaque = unescape(text).try_into().unwrap(),
            "s" => frame.status = u16::from_str_radix(text, 16).unwrap(),
            "keylen" => frame.key_bytes = Some(text.parse().unwrap()),
            "extlen" => frame.extras_bytes = Some(text.parse().unwrap()),
            "bodylen" => frame.body_bytes = Some(text.parse().unwrap()),
            "magic" => {
                frame.magic = u8::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
            }
            _ => panic!("{line}: what is {field}?"),
        }
    }
    frame.bytes()
}

fn number_bytes(text: &str) -> Vec<u8> {
    let (number, width) = text.split_once(':').unwrap_or((text, "4"));
    let (number, width): (u64, usize) = (number.parse().unwrap(), width.parse().unwrap());
    number.to_be_bytes()[8 - width..].to_vec()
}
