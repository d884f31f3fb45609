//! The words that name commands: one table for the grammars, the rule of the two dialects, and the log.

macro_rules! verbs {
    ($($verb:ident $word:literal $(if $guard:expr)?,)+) => {
        /// What the first word of a classic line says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Verb { $($verb,)+ }

        impl Verb {
            /// The command that `word` names.
            pub(super) const fn of(word: &[u8]) -> Option<Self> {
                Some(match word {
                    $($word $(if $guard)? => Self::$verb,)+
                    _ => return None,
                })
            }

            /// The word.
            pub(super) const fn word(self) -> &'static [u8] {
                match self { $(Self::$verb => $word,)+ }
            }
        }
    };
}

verbs! {
    Get b"get",
    Gets b"gets",
    Gat b"gat",
    Gats b"gats",
    Set b"set",
    Add b"add",
    Replace b"replace",
    Append b"append",
    Prepend b"prepend",
    Cas b"cas",
    Incr b"incr",
    Decr b"decr",
    Touch b"touch",
    Delete b"delete",
    MetaGet b"mg",
    MetaSet b"ms",
    MetaDelete b"md",
    MetaArithmetic b"ma",
    MetaDebug b"me",
    MetaNoop b"mn",
    FlushAll b"flush_all",
    FlushPrefix b"flush_prefix",
    Stats b"stats",
    Verbosity b"verbosity",
    Version b"version",
    Quit b"quit",
    Shutdown b"shutdown",
    LruCrawler b"lru_crawler",
    CacheMemlimit b"cache_memlimit",
    Watch b"watch",
    // These administer parts of memcached that do not exist here.
    Lru b"lru",
    Slabs b"slabs",
    Extstore b"extstore",
    RefreshCerts b"refresh_certs",
    // For tests, in builds with debug assertions.
    DebugTime b"debugtime" if cfg!(debug_assertions),
    DebugVerify b"debugverify" if cfg!(debug_assertions),
}

impl Verb {
    /// Fetches any number of keys, so its line may be long.
    pub(super) const fn is_retrieval(self) -> bool {
        matches!(self, Self::Get | Self::Gets | Self::Gat | Self::Gats)
    }
}
