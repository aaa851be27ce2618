//! Every schema of this crate, by position and by name. The table itself is generated.

use crate::{generated::table::SCHEMAS, schema::Schema};

/// Every schema of this crate that a record on a topic can have, in the order of their names.
pub fn all() -> &'static [&'static Schema] {
    static ALL: [&Schema; SCHEMAS.len()] = {
        let mut all = [&SCHEMAS[0]; SCHEMAS.len()];
        let mut index = 0;
        while index < SCHEMAS.len() {
            all[index] = &SCHEMAS[index];
            index += 1;
        }
        all
    };
    &ALL
}

/// The schema of this crate with this full name; `None` if there is none.
pub fn named(name: &str) -> Option<&'static Schema> {
    all().binary_search_by(|schema| schema.name.cmp(name)).ok().map(|index| all()[index])
}

/// The schema of this crate with this full name, found at compile time. A name that is not in the
/// table does not compile.
pub(crate) const fn own(name: &str) -> &'static Schema {
    let mut index = 0;
    while !is_same(SCHEMAS[index].name, name) {
        index += 1;
    }
    &SCHEMAS[index]
}

/// `a == b`, at compile time.
const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut index = a.len();
    // Backwards, because full names share their beginnings.
    while index > 0 {
        index -= 1;
        if a[index] != b[index] {
            return false;
        }
    }
    true
}
