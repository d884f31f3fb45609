//! How a server's binary was built, as far as the file itself and the `config.log` beside it can say.
//!
//! An ELF file names its compiler and whether it carries symbols, debug information or instruments;
//! it does not name the optimisation level. That stands in the `config.log` of a build tree, which is
//! quoted with its place, for it could belong to another build. Starts nothing.

use std::fs;
use std::path::Path;

use memchr::memmem;

/// What could be found out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Binary {
    pub(crate) bytes: u64,
    /// Entries of `.comment`, one per compiler that took part.
    pub(crate) compilers: Vec<String>,
    pub(crate) has_symbols: bool,
    pub(crate) has_debug_info: bool,
    /// Debug information was split off into another file, as distributions do.
    pub(crate) has_debug_link: bool,
    /// Local symbols renamed by link-time optimisation; unknown for a stripped file.
    pub(crate) shows_lto: bool,
    /// Sanitizers, coverage counters and profilers found inside.
    pub(crate) instruments: Vec<&'static str>,
    /// The arguments in the `config.log` beside it.
    pub(crate) configured: Option<String>,
    /// Whether the system's package manager lists the file.
    pub(crate) packaged: bool,
}

/// Names that only an instrumented program contains.
const INSTRUMENTS: [(&str, &str); 6] = [
    ("__asan_init", "AddressSanitizer"),
    ("__tsan_init", "ThreadSanitizer"),
    ("__msan_init", "MemorySanitizer"),
    ("__ubsan_handle", "UndefinedBehaviorSanitizer"),
    ("__gcov", "coverage counters"),
    ("__llvm_profile", "coverage counters"),
];

impl Binary {
    /// Looks at the file at `path`; what cannot be read stays unknown.
    pub(crate) fn at(path: &Path) -> Self {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let mut found = Self::of(&fs::read(&path).unwrap_or_default());
        let beside = path.parent().map(|folder| folder.join("config.log"));
        let log = beside.and_then(|log| fs::read_to_string(log).ok());
        found.configured = log.as_deref().and_then(configure_arguments);
        let listed = fs::read_to_string("/var/lib/dpkg/info/memcached.list").unwrap_or_default();
        found.packaged = listed.lines().any(|line| Path::new(line) == path);
        found
    }

    /// What the bytes of an ELF file say.
    pub(crate) fn of(file: &[u8]) -> Self {
        let mut found = Self { bytes: file.len() as u64, ..Self::default() };
        for (name, content) in sections(file).unwrap_or_default() {
            match name {
                ".comment" => {
                    let entries = content.split(|&byte| byte == 0).filter(|part| !part.is_empty());
                    let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
                    found.compilers = entries.map(text).collect();
                }
                ".symtab" => found.has_symbols = true,
                ".debug_info" | ".zdebug_info" => found.has_debug_info = true,
                ".gnu_debuglink" => found.has_debug_link = true,
                ".strtab" => {
                    found.shows_lto = memmem::find(content, b".lto_priv").is_some();
                    found.instruments.extend(instruments_among(content));
                }
                ".dynstr" => found.instruments.extend(instruments_among(content)),
                _ => {}
            }
        }
        found.instruments.sort_unstable();
        found.instruments.dedup();
        found
    }

    /// For the head of a report.
    pub(crate) fn in_words(&self) -> String {
        let mut parts = vec![format!("{} bytes", self.bytes)];
        if self.packaged {
            parts.push("the file of the system's package".to_string());
        }
        parts.push(match &self.compilers[..] {
            [] => "compiler not recorded".to_string(),
            names => names.join(" and "),
        });
        parts.push(match (self.has_debug_info, self.has_symbols) {
            (true, _) => "with debug information".to_string(),
            (false, true) => "with symbols".to_string(),
            (false, false) => "stripped".to_string(),
        });
        if self.has_debug_link {
            parts.push("debug information split off, as distributions do".to_string());
        }
        // The sign is GCC's; rustc leaves none.
        let would_show = self.has_symbols && !self.compilers.iter().any(|x| x.contains("rustc"));
        parts.push(match (self.shows_lto, would_show) {
            (true, _) => "link-time optimised".to_string(),
            (false, true) => "no sign of link-time optimisation".to_string(),
            (false, false) => "link-time optimisation not recorded".to_string(),
        });
        parts.push(match &self.configured {
            Some(arguments) => {
                format!("built with configure {arguments} (config.log in its folder)")
            }
            None => "optimisation level not recorded".to_string(),
        });
        if !self.instruments.is_empty() {
            parts.push(format!("INSTRUMENTED: {}", self.instruments.join(", ")));
        }
        parts.join("; ")
    }

    /// Why figures of this binary may be worse than a careful build's.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if !self.instruments.is_empty() {
            doubts.push(format!(
                "this memcached is instrumented ({}): it is slower than a release build",
                self.instruments.join(", ")
            ));
        }
        let flags = self.configured.as_deref().filter(|arguments| arguments.contains("CFLAGS"));
        if let Some(flags) = flags
            && !["-O1", "-O2", "-O3", "-Ofast"].iter().any(|level| flags.contains(level))
        {
            doubts.push(
                "config.log in this memcached's folder names no optimisation level (-O2)"
                    .to_string(),
            );
        }
        doubts
    }
}

/// What instruments a program whose symbols have these names.
pub(crate) fn instruments_among(names: &[u8]) -> impl Iterator<Item = &'static str> {
    let has = |name: &str| memmem::find(names, name.as_bytes()).is_some();
    INSTRUMENTS.iter().filter(move |(name, _)| has(name)).map(|&(_, what)| what)
}

/// The arguments of the first `$ .../configure` line, without the path.
pub(crate) fn configure_arguments(log: &str) -> Option<String> {
    let line = log.lines().find_map(|line| line.trim_start().strip_prefix("$ "))?;
    let (_, arguments) = line.split_once("configure")?;
    let arguments = arguments.trim();
    Some(if arguments.is_empty() { "without arguments".into() } else { arguments.into() })
}

/// Names and contents of the sections of a 64-bit little-endian ELF file.
fn sections(file: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    const IS_64_BIT: u8 = 2;
    const IS_LITTLE_ENDIAN: u8 = 1;
    if !file.starts_with(b"\x7fELF") || file.get(4..6)? != [IS_64_BIT, IS_LITTLE_ENDIAN] {
        return None;
    }
    let table = number(file, 40, 8)?;
    let size = number(file, 58, 2)?;
    let count = number(file, 60, 2)?;
    let header = |index: usize| {
        let at = table.checked_add(index.checked_mul(size)?)?;
        let start = number(file, at + 24, 8)?;
        let length = number(file, at + 32, 8)?;
        Some((number(file, at, 4)?, start..start.checked_add(length)?))
    };
    let (_, names) = header(number(file, 62, 2)?)?;
    let names = file.get(names)?;
    let mut found = Vec::new();
    for index in 0..count {
        let (name, range) = header(index)?;
        let name = names.get(name..)?.split(|&byte| byte == 0).next()?;
        // Sections that occupy no bytes of the file reach beyond its end.
        found.push((std::str::from_utf8(name).ok()?, file.get(range).unwrap_or_default()));
    }
    Some(found)
}

fn number(file: &[u8], at: usize, bytes: usize) -> Option<usize> {
    let field = file.get(at..at.checked_add(bytes)?)?;
    let value = field.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    usize::try_from(value).ok()
}
