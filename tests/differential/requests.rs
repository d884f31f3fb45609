//! Generates valid and invalid requests with proptest: all commands over a few keys, numbers at the ends
//! of their ranges, too many and too few words, odd spacing, and data of a wrong length. Expiry times
//! are never near, so that the clock does not matter.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Every key that a request can name, so that they can be deleted between two cases.
pub(crate) const KEYS: [&[u8]; 13] = [
    b"a",
    b"b",
    b"n",
    b"YQ==",
    b"Yg==",
    b"bg==",
    b"YQ",
    b"=",
    b"noreply",
    b"\xff\x01",
    b"\t",
    b"0",
    &[b'k'; 250],
];

/// One request: its words, the space between them, its line end, and its data.
#[derive(Clone)]
pub(crate) struct Request {
    /// The words. `{a}` stands for the cas id of the item a, and so on.
    pub(crate) words: Vec<Vec<u8>>,
    spaces: Vec<u8>,
    ending: &'static [u8],
    pub(crate) data: Option<Vec<u8>>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes(|_| "ID".into()).escape_ascii())
    }
}

impl Request {
    /// The request as it is sent to a server whose items have these cas ids.
    pub(crate) fn bytes(&self, cas_of: impl Fn(u8) -> String) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, word) in self.words.iter().enumerate() {
            let spaces: usize = self.spaces.get(at).copied().unwrap_or(0).into();
            out.resize(out.len() + if at == 0 { spaces } else { 1 + spaces }, b' ');
            match word.iter().position(|&byte| byte == b'{') {
                Some(hole) if word.get(hole + 2) == Some(&b'}') => {
                    out.extend_from_slice(&word[..hole]);
                    out.extend(cas_of(word[hole + 1]).bytes());
                }
                _ => out.extend_from_slice(word),
            }
        }
        let trailing = self.spaces.get(self.words.len()).copied().unwrap_or(0);
        out.resize(out.len() + usize::from(trailing), b' ');
        out.extend_from_slice(self.ending);
        if let Some(data) = &self.data {
            out.extend_from_slice(data);
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    /// Whether this request reads a number.
    pub(crate) fn counts(&self) -> bool {
        matches!(self.word(0), b"incr" | b"decr" | b"ma")
    }

    /// Its first key, as it is sent and decoded from base64.
    pub(crate) fn keys(&self) -> [&[u8]; 2] {
        let decoded: &[u8] = match self.word(1) {
            b"YQ==" => b"a",
            b"Yg==" => b"b",
            b"bg==" => b"n",
            key => key,
        };
        [self.word(1), decoded]
    }

    pub(crate) fn word(&self, at: usize) -> &[u8] {
        self.words.get(at).map_or(b"", |word| word)
    }

    /// Whether its line, with its end, is shorter than this.
    pub(crate) fn is_shorter_than(&self, bytes: usize) -> bool {
        let data = self.data.as_ref().map_or(0, |data| data.len() + 2);
        self.bytes(|_| "1".into()).len() - data < bytes
    }

    pub(crate) fn ends_in_lf(&self) -> bool {
        self.ending == b"\n"
    }

    /// Whether anything comes before the first word.
    pub(crate) fn is_indented(&self) -> bool {
        self.bytes(|_| "1".into()).first() == Some(&b' ')
    }
}

/// A few requests that are sent in one piece.
pub(crate) fn requests() -> impl Strategy<Value = Vec<Request>> {
    vec(request(), 1..10)
}

fn request() -> impl Strategy<Value = Request> {
    let spaces = prop_oneof![8 => Just(Vec::new()), 1 => vec(prop_oneof![4 => Just(0u8), 1 => 0..4u8], 0..8)];
    let ending = prop_oneof![12 => Just(&b"\r\n"[..]), 1 => Just(&b"\n"[..])];
    (command(), mutation(), spaces, ending).prop_map(
        |((mut words, data), change, spaces, ending)| {
            change.apply(&mut words);
            words.retain(|word| !word.is_empty());
            Request { words, spaces, ending, data }
        },
    )
}

type Parts = (Vec<Vec<u8>>, Option<Vec<u8>>);

fn command() -> BoxedStrategy<Parts> {
    let plain = |parts: Vec<Vec<u8>>| (parts, None);
    prop_oneof![
        8 => storage(),
        6 => (select(vec!["get", "gets"]), vec(key(), 0..4)).prop_map(move |(name, keys)| {
            plain([vec![name.into()], keys].concat())
        }),
        3 => (select(vec!["gat", "gats"]), exptime(), vec(key(), 0..4)).prop_map(
            move |(name, exptime, keys)| plain([vec![name.into(), exptime], keys].concat())
        ),
        3 => (select(vec!["incr", "decr"]), key(), number(), noreply()).prop_map(
            move |(name, key, delta, noreply)| {
                plain([vec![name.into(), key, delta], noreply].concat())
            }
        ),
        2 => (key(), exptime(), noreply()).prop_map(move |(key, exptime, noreply)| {
            plain([vec![b"touch".to_vec(), key, exptime], noreply].concat())
        }),
        2 => (key(), noreply()).prop_map(move |(key, noreply)| {
            plain([vec![b"delete".to_vec(), key], noreply].concat())
        }),
        6 => (select(vec!["mg", "md", "ma"]), key(), flags()).prop_map(move |(name, key, flags)| {
            plain([vec![name.into(), key], flags].concat())
        }),
        4 => meta_set(),
        1 => (select(vec!["me", "mn", "version", "verbosity", "flush_all", "shutdown", "hello", "qu"]), vec(key(), 0..2))
            .prop_map(move |(name, keys)| plain([vec![name.into()], keys].concat())),
        1 => (select(vec!["-1", "0", "-5", "x", "1.5", "-0", "noreply"]), noreply()).prop_map(move |(delay, noreply)| {
            plain([vec![b"flush_all".to_vec(), delay.into()], noreply].concat())
        }),
        1 => (number(), noreply()).prop_map(move |(level, noreply)| {
            plain([vec![b"verbosity".to_vec(), level], noreply].concat())
        }),
        2 => administration().prop_map(plain),
        1 => vec("[a-c0 ]{0,3}", 0..4).prop_map(move |words| {
            plain(words.into_iter().map(|word| word.replace(' ', "").into_bytes()).collect())
        }),
    ]
    .boxed()
}

fn storage() -> impl Strategy<Value = Parts> {
    let names = vec!["set", "set", "add", "replace", "append", "prepend", "cas"];
    (select(names), key(), number(), exptime(), data(), count(), cas_id(), noreply()).prop_map(
        |(name, key, flags, exptime, data, count, cas, noreply)| {
            let mut words = vec![name.into(), key, flags, exptime, count.of(&data)];
            if name == "cas" {
                words.push(cas);
            }
            words.extend(noreply);
            (words, Some(data))
        },
    )
}

fn meta_set() -> impl Strategy<Value = Parts> {
    (key(), data(), count(), flags()).prop_map(|(key, data, count, flags)| {
        let words = [vec![b"ms".to_vec(), key, count.of(&data)], flags].concat();
        (words, Some(data))
    })
}

/// Lines about memory and its parts. `#` stands for a number, `%` for a fraction, and `MIB` for a limit
/// of memory, which is never small enough for items to be evicted.
fn administration() -> impl Strategy<Value = Vec<Vec<u8>>> {
    const LINES: [&str; 22] = [
        "slabs automove #",
        "slabs automove #",
        "slabs automove ratio %",
        "slabs automove freeratio %",
        "slabs automove window #",
        "slabs automove auto 1",
        "slabs auto #",
        "slabs reassign # #",
        "slabs bogus # #",
        "slabs",
        "lru tune # # % %",
        "lru tune # # % %",
        "lru tun 1 1 1 1",
        "lru mode flat",
        "lru temp_ttl #",
        "lru",
        "lru_crawler sleep #",
        "lru_crawler tocrawl #",
        "lru_crawler bogus #",
        "cache_memlimit MIB",
        "cache_memlimit MIB",
        "cache_memlimit #",
    ];
    const LIMITS: [&str; 18] = [
        "32",
        "48",
        "64",
        "64",
        "064",
        "0",
        "7",
        "65",
        "1000000000",
        "1000000001",
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "-1",
        "+64",
        "64m",
        "x",
        "noreply",
    ];
    let limit = select(LIMITS.to_vec()).prop_map(|text| text.as_bytes().to_vec());
    // 10 is a number that others use, and too small a limit.
    let number = number().prop_filter("a small limit", |number| number != b"10");
    (select(LINES.to_vec()), vec(number, 2), vec(fraction(), 2), limit, noreply()).prop_map(
        |(line, mut numbers, mut fractions, limit, noreply)| {
            let word = |word: &str| match word {
                "#" => numbers.pop().unwrap_or_default(),
                "%" => fractions.pop().unwrap_or_default(),
                "MIB" => limit.clone(),
                word => word.as_bytes().to_vec(),
            };
            [line.split(' ').map(word).collect(), noreply].concat()
        },
    )
}

/// Numbers with a fraction or without, near the ends of their range, and in other forms.
fn fraction() -> impl Strategy<Value = Vec<u8>> {
    const EDGES: [&str; 24] = [
        "0.0",
        "-0",
        "-0.5",
        "1.",
        ".5",
        ".",
        "+1.5",
        "1e3",
        "1e",
        "1E-2",
        "1e400",
        "-1e400",
        "1e-400",
        "0e-400",
        "2e-308",
        "0.5x",
        "0.5.5",
        "0x1p3",
        "inf",
        "nan",
        "x",
        "1\t",
        "0000000000000000000000000000001",
        "00000000000000000000000000000001",
    ];
    prop_oneof![3 => select(vec!["0", "1", "2.0", "0.5"]), 1 => select(EDGES.to_vec())]
        .prop_map(|text| text.as_bytes().to_vec())
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => select(vec![&b"a"[..], b"b", b"n"]).prop_map(<[u8]>::to_vec),
        1 => select(KEYS.to_vec()).prop_map(<[u8]>::to_vec),
        1 => Just(vec![b'k'; 251]),
        2 => select(vec![&b"YQ=="[..], b"Yg==", b"bg==", b"YQ", b"="]).prop_map(<[u8]>::to_vec),
    ]
}

/// Numbers at the ends of integer types, and in forms that parsers read differently.
fn number() -> impl Strategy<Value = Vec<u8>> {
    const EDGES: [&str; 32] = [
        "-1",
        "007",
        "2147483645",
        "2147483646",
        "2147483647",
        "2147483648",
        "-2147483648",
        "-2147483649",
        "4294967295",
        "4294967296",
        "4294967297",
        "99999999999",
        "100000000000",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999",
        "00000000000",
        "000000000000",
        "0000000000000000000001",
        "00000000000000000000001",
        "+1",
        "-0",
        "1.5",
        "1x",
        "x",
        "0x10",
        "-",
        "--1",
        "1\t",
        "1\0",
    ];
    prop_oneof![
        8 => select(vec!["0", "1", "5", "10", "100"]),
        2 => select(EDGES.to_vec()),
    ]
    .prop_map(|text| text.as_bytes().to_vec())
}

/// Expired at once, never, or far in the future.
fn exptime() -> impl Strategy<Value = Vec<u8>> {
    const EDGES: [&str; 18] = [
        "-1",
        "2592000",
        "2592001",
        "1000000000",
        "2147483647",
        "2147483648",
        "-2147483648",
        "-2147483649",
        "4294967296",
        "99999999999",
        "00000000000",
        "000000000000",
        "+500",
        "x",
        "-",
        "500x",
        "noreply",
        "0x",
    ];
    prop_oneof![8 => select(vec!["0", "0", "100", "500"]), 2 => select(EDGES.to_vec())]
        .prop_map(|text| text.as_bytes().to_vec())
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    const VALUES: [&[u8]; 20] = [
        b"",
        b"5",
        b"10",
        b"99",
        b"100",
        b"007",
        b" 5",
        b"5 ",
        b"+5",
        b"-5",
        b"5 x",
        b"5x",
        b"x",
        b"abc",
        b"18446744073709551615",
        b"18446744073709551616",
        b"get a\r\n",
        b"\r\n",
        b"1\0",
        b"mn\r\nmn",
    ];
    prop_oneof![
        20 => select(VALUES.to_vec()).prop_map(<[u8]>::to_vec),
        1 => (100..1500usize).prop_map(|bytes| vec![b'x'; bytes]),
    ]
}

/// The length of the data that a request announces.
#[derive(Clone, Debug)]
enum Count {
    Right,
    Off(i8),
    Other(Vec<u8>),
}

impl Count {
    fn of(&self, data: &[u8]) -> Vec<u8> {
        let length = i64::try_from(data.len()).unwrap();
        match self {
            Self::Right => length.to_string().into_bytes(),
            Self::Off(by) => (length + i64::from(*by)).to_string().into_bytes(),
            Self::Other(word) => word.clone(),
        }
    }
}

fn count() -> impl Strategy<Value = Count> {
    prop_oneof![
        30 => Just(Count::Right),
        2 => (-2..=2i8).prop_map(Count::Off),
        1 => number().prop_map(Count::Other),
    ]
}

fn cas_id() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => select(vec!["{a}", "{b}", "{n}"]).prop_map(|hole| hole.as_bytes().to_vec()),
        1 => number(),
    ]
}

fn noreply() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![6 => Just(Vec::new()), 1 => Just(vec![b"noreply".to_vec()])]
}

/// Flags of the meta commands, in any order and with any arguments.
fn flags() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let with = |letter: &'static str, argument: BoxedStrategy<Vec<u8>>| {
        argument.prop_map(move |argument| [letter.as_bytes(), &argument].concat())
    };
    let timed = prop_oneof![Just("T"), Just("N"), Just("R")];
    let timed =
        (timed, exptime()).prop_map(|(letter, exptime)| [letter.as_bytes(), &exptime].concat());
    let told = prop_oneof![4 => select(vec!["1000", "5000000000", "0"]).prop_map(|id| id.as_bytes().to_vec()), 1 => number()];
    let modes = select(vec![
        "ME", "MA", "MP", "MR", "MS", "MI", "MD", "M+", "M-", "M", "MX", "Mincr", "Madd",
    ]);
    let flag = prop_oneof![
        30 => select(vec!["v", "k", "s", "t", "c", "f", "q", "u", "h", "I", "x", "b"]).prop_map(|flag| flag.as_bytes().to_vec()),
        6 => timed,
        4 => with("C", cas_id().boxed()),
        2 => with("E", told.boxed()),
        4 => modes.prop_map(|mode| mode.as_bytes().to_vec()),
        2 => with("D", number().boxed()),
        2 => with("J", number().boxed()),
        2 => with("F", number().boxed()),
        2 => "O[a-z]{0,3}".prop_map(String::into_bytes),
        1 => Just([&b"O"[..], &[b'o'; 32]].concat()),
        1 => select(vec!["P", "Lx", "Z", "S", "!", "\t", "1", "noreply", "_", "\x7f"]).prop_map(|flag| flag.as_bytes().to_vec()),
    ];
    prop_oneof![8 => vec(flag.boxed(), 0..5), 1 => vec(select(vec!["v", "k"]).prop_map(|flag| flag.as_bytes().to_vec()), 17..22)]
}

/// A change to a valid request, mostly none.
#[derive(Clone, Debug)]
enum Mutation {
    None,
    Drop(usize),
    Repeat(usize),
    Insert(usize, &'static str),
    Capital,
    Append(usize),
}

impl Mutation {
    fn apply(&self, words: &mut Vec<Vec<u8>>) {
        if words.is_empty() {
            return;
        }
        let count = words.len();
        match *self {
            Self::None => {}
            Self::Drop(at) => drop(words.remove(at % count)),
            Self::Repeat(at) => words.insert(at % count, words[at % count].clone()),
            Self::Insert(at, word) => words.insert(1 + at % count, word.as_bytes().to_vec()),
            Self::Capital => words[0].make_ascii_uppercase(),
            Self::Append(times) => words.extend(vec![b"x".to_vec(); times]),
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        40 => Just(Mutation::None),
        2 => any::<usize>().prop_map(Mutation::Drop),
        1 => any::<usize>().prop_map(Mutation::Repeat),
        1 => (any::<usize>(), select(vec!["0", "x", "noreply", "-1"])).prop_map(|(at, word)| Mutation::Insert(at, word)),
        1 => Just(Mutation::Capital),
        1 => (1..24usize).prop_map(Mutation::Append),
    ]
}
