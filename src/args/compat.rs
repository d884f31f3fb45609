//! memcached's options for features that do not exist here: ignored with a warning, or refused.
//!
//! `--help` lists them and `-h` does not: memcached's test suite searches the output of `-h` for the
//! features that a server has.

use clap::builder::{BoolValueParser, StringValueParser, TypedValueParser};
use clap::value_parser;

use super::value::{checked, trimmed};

/// Options of memcached for features that do not exist here.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of memcached for features that this server does not have")]
pub(super) struct Compat {
    /// Ignored: growth of the sizes of slab classes
    #[arg(short = 'f', long, value_name = "FACTOR", hide_short_help = true)]
    #[arg(allow_negative_numbers = true, value_parser = trimmed(str::parse::<f64>))]
    slab_growth_factor: Option<f64>,

    /// Ignored: size of the smallest slab class
    #[arg(short = 'n', long, value_name = "BYTES", hide_short_help = true)]
    #[arg(allow_negative_numbers = true, value_parser = trimmed(value_parser!(i64)))]
    slab_min_size: Option<i64>,

    /// Ignored: choice of the worker thread by network queue
    #[arg(short = 'N', long, value_name = "NUMBER", hide_short_help = true)]
    #[arg(allow_negative_numbers = true, value_parser = trimmed(value_parser!(i64)))]
    napi_ids: Option<i64>,

    #[command(flatten)]
    _refused: Refused,
}

/// Parsing any of these is an error, so no value is ever read.
#[derive(Debug, clap::Args)]
#[allow(dead_code, reason = "never read")]
struct Refused {
    /// Refused: SASL authentication
    #[arg(short = 'S', long, hide_short_help = true, value_parser = refused_flag("-S", "SASL"))]
    enable_sasl: bool,

    /// Refused: TLS
    #[arg(short = 'Z', long, hide_short_help = true, value_parser = refused_flag("-Z", "TLS"))]
    enable_ssl: bool,

    /// Refused: a file that keeps items over a restart; see --snapshot
    #[arg(short = 'e', long, value_name = "PATH", hide_short_help = true)]
    #[arg(value_parser = checked(StringValueParser::new(), |_| refuse("-e", "memory file")))]
    memory_file: Option<bool>,
}

/// Refuses a flag if it is given. If it is not, clap passes "false" to the parser.
fn refused_flag(
    option: &'static str,
    feature: &'static str,
) -> impl TypedValueParser<Value = bool> {
    checked(
        BoolValueParser::new(),
        move |given| {
            if given { refuse(option, feature) } else { Ok(false) }
        },
    )
}

fn refuse(option: &str, feature: &str) -> Result<bool, String> {
    Err(format!("{option}: this server is not built with {feature} support"))
}

impl Compat {
    /// The options that were given and have no effect.
    pub(super) fn ignored(&self) -> impl Iterator<Item = String> {
        let options = [
            self.slab_growth_factor.map(|factor| format!("-f {factor}")),
            self.slab_min_size.map(|size| format!("-n {size}")),
            self.napi_ids.map(|ids| format!("-N {ids}")),
        ];
        options.into_iter().flatten()
    }
}
