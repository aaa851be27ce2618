//! The program `schemas` against a real broker and a real registry: plans, records, and what is
//! already written. Run under `stack run`, as integration/test does. Each test has its own files,
//! topics and subjects.

mod plans;
mod project;
mod records;
