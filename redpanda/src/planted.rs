//! Bugs planted on purpose, so that those who prove the rules can show that their checks see a broken one.
//!
//! They exist only in binaries that are built with the feature `planted`, which no other build asks for; there
//! `MILLRACE_PLANT=no-dedupe` plants that one. In every other binary this is the constant `false`.

/// Whether the bug `name` is planted: `offsets-early`, `offsets-twice`, `no-dedupe`, `keep-overlay`,
/// `position-apart`, `same-epoch` or `no-fence`.
#[cfg(feature = "planted")]
pub fn planted(name: &str) -> bool {
    static PLANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    PLANTED.get_or_init(|| std::env::var("MILLRACE_PLANT").ok()).as_deref() == Some(name)
}

/// Whether the bug `name` is planted: never, in this build.
#[cfg(not(feature = "planted"))]
#[inline]
pub const fn planted(_name: &str) -> bool {
    false
}
