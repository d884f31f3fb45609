//! Options of memcached's for parts that are not here, and what becomes of them.

use std::path::PathBuf;

/// Options of memcached's for parts that are not here. The help does not tell of them: memcached's
/// own tests take a word in it for a feature.
#[derive(Debug, clap::Args)]
pub(super) struct Absent {
    /// Growth of slab classes
    #[arg(short = 'f', long, hide = true, allow_negative_numbers = true)]
    slab_growth_factor: Option<f64>,
    /// Smallest slab class
    #[arg(short = 'n', long, hide = true, allow_negative_numbers = true)]
    slab_min_size: Option<i64>,
    /// Threads by network queue
    #[arg(short = 'N', long, hide = true, allow_negative_numbers = true)]
    napi_ids: Option<i64>,
    /// SASL
    #[arg(short = 'S', long, hide = true)]
    enable_sasl: bool,
    /// TLS
    #[arg(short = 'Z', long, hide = true)]
    enable_ssl: bool,
    /// Items that survive a restart
    #[arg(short = 'e', long, hide = true)]
    memory_file: Option<PathBuf>,
}

impl Absent {
    /// Those that were given and tune nothing.
    ///
    /// # Errors
    /// When one was given that promises something.
    pub(super) fn without_effect(&self) -> Result<Vec<String>, String> {
        for (given, name, what) in [
            (self.enable_sasl, "-S", "SASL"),
            (self.enable_ssl, "-Z", "TLS"),
            (self.memory_file.is_some(), "-e", "memory file"),
        ] {
            if given {
                return Err(format!("{name}: this server is not built with {what} support"));
            }
        }
        let options = [
            self.slab_growth_factor.map(|factor| format!("-f {factor}")),
            self.slab_min_size.map(|size| format!("-n {size}")),
            self.napi_ids.map(|ids| format!("-N {ids}")),
        ];
        Ok(options.into_iter().flatten().collect())
    }
}
