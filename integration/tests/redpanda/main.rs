//! The log on a real broker and a real registry must keep the promises that the in-memory log
//! keeps. Run under `stack run`, as integration/test does; `--servers-only` is enough. Each test
//! has its own topics and groups.

mod copies;
mod provisioning;
mod sessions;
mod support;
