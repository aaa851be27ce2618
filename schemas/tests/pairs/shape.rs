//! Random schemas, derived from bytes, and small changes to them. `text` writes them, `values` has
//! values of them.

/// Random choices. After the last byte, every choice is the first one, so that fewer bytes make
/// simpler schemas.
pub(crate) struct Entropy<'a>(std::slice::Iter<'a, u8>);

impl<'a> Entropy<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }

    /// A number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % count
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// A primitive type.
    Plain(&'static str),
    /// A logical type on its base.
    Logical(&'static str, &'static str),
    Array(Box<Shape>),
    Map(Box<Shape>),
    Union(Vec<Shape>),
    Record(Naming, Vec<Field>),
    Enum(Naming, Vec<&'static str>, bool),
    Fixed(Naming, usize),
    /// An optional value of the record around it.
    Around,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Naming {
    pub(crate) name: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) alias: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) alias: Option<&'static str>,
    pub(crate) shape: Shape,
    pub(crate) has_default: bool,
}

const PLAIN: [&str; 8] = ["int", "long", "string", "boolean", "bytes", "double", "float", "null"];
const LOGICAL: [(&str, &str); 4] = [
    ("date", "int"),
    ("timestamp-millis", "long"),
    ("timestamp-micros", "long"),
    ("uuid", "string"),
];
const NAMES: [&str; 4] = ["A", "B", "C", "D"];
const FIELDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const SYMBOLS: [&str; 4] = ["X", "Y", "Z", "W"];
const DEPTH_MAX: usize = 3;

impl Shape {
    /// A random type.
    pub(crate) fn new(entropy: &mut Entropy<'_>) -> Self {
        Self::inner(entropy, 0, false)
    }

    fn inner(entropy: &mut Entropy<'_>, depth: usize, is_branch: bool) -> Self {
        match entropy.below(if depth < DEPTH_MAX { 12 } else { 4 }) {
            0 | 1 => Self::Plain(entropy.pick(&PLAIN)),
            2 => {
                let (logical, base) = entropy.pick(&LOGICAL);
                Self::Logical(logical, base)
            }
            3 => Self::enumeration(entropy),
            4 => Self::Fixed(naming(entropy), 1 + entropy.below(3)),
            5 => Self::Array(Box::new(Self::inner(entropy, depth + 1, false))),
            6 => Self::Map(Box::new(Self::inner(entropy, depth + 1, false))),
            7 | 8 if !is_branch => {
                let mut branches =
                    if entropy.below(4) == 0 { Vec::new() } else { vec![Self::Plain("null")] };
                for _ in 0..1 + entropy.below(2) {
                    add_branch(&mut branches, Self::inner(entropy, depth + 1, true));
                }
                Self::Union(branches)
            }
            _ => {
                let naming = naming(entropy);
                let count = entropy.below(4);
                let mut fields = Vec::new();
                for _ in 0..count {
                    add_field(&mut fields, entropy, depth);
                }
                Self::Record(naming, fields)
            }
        }
    }

    fn enumeration(entropy: &mut Entropy<'_>) -> Self {
        let count = 1 + entropy.below(3);
        Self::Enum(naming(entropy), SYMBOLS[..count].to_vec(), entropy.below(3) == 1)
    }

    /// Changes one part of the type.
    pub(crate) fn mutate(&mut self, entropy: &mut Entropy<'_>) {
        let mut index = entropy.below(self.size());
        self.at(&mut index, entropy);
    }

    fn children(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Array(inner) | Self::Map(inner) => vec![inner],
            Self::Union(branches) => branches.iter_mut().collect(),
            Self::Record(_, fields) => fields.iter_mut().map(|field| &mut field.shape).collect(),
            _ => Vec::new(),
        }
    }

    fn size(&mut self) -> usize {
        1 + self.children().into_iter().map(Self::size).sum::<usize>()
    }

    fn at(&mut self, index: &mut usize, entropy: &mut Entropy<'_>) -> bool {
        if *index == 0 {
            self.change(entropy);
            return true;
        }
        *index -= 1;
        let is_union = matches!(self, Self::Union(_));
        let is_done = self.children().into_iter().any(|child| child.at(index, entropy));
        if let (true, Self::Union(branches)) = (is_union && is_done, &mut *self) {
            // The branch may now be like another one, or a union.
            let old = std::mem::take(branches);
            old.into_iter().for_each(|branch| add_branch(branches, branch));
            if branches.is_empty() {
                branches.push(Self::Plain("null"));
            }
        }
        is_done
    }

    fn change(&mut self, entropy: &mut Entropy<'_>) {
        let general = entropy.below(6);
        if general == 1 {
            *self = Self::inner(entropy, DEPTH_MAX - 1, false);
            return;
        }
        if general == 2 && !matches!(self, Self::Union(_) | Self::Around | Self::Plain("null")) {
            let inner = std::mem::replace(self, Self::Plain("null"));
            *self = Self::Union(vec![Self::Plain("null"), inner]);
            return;
        }
        match self {
            Self::Plain(name) => *name = entropy.pick(&PLAIN),
            Self::Logical(logical, base) => {
                if entropy.below(2) == 0 {
                    *self = Self::Plain(base);
                } else {
                    (*logical, *base) = entropy.pick(&LOGICAL);
                }
            }
            Self::Array(inner) => *self = Self::Map(inner.clone()),
            Self::Map(inner) => *self = Self::Array(inner.clone()),
            Self::Union(branches) => match entropy.below(4) {
                0 => add_branch(branches, Self::inner(entropy, DEPTH_MAX, true)),
                1 if branches.len() > 1 => {
                    branches.remove(entropy.below(branches.len()));
                }
                2 => branches.reverse(),
                _ => *self = branches.last().cloned().unwrap_or(Self::Plain("null")),
            },
            Self::Record(naming, fields) => match entropy.below(7) {
                0 | 1 => add_field(fields, entropy, DEPTH_MAX - 1),
                2 if !fields.is_empty() => {
                    fields.remove(entropy.below(fields.len()));
                }
                3 if !fields.is_empty() => {
                    let index = entropy.below(fields.len());
                    let free: Vec<_> = FIELDS
                        .into_iter()
                        .filter(|name| {
                            fields
                                .iter()
                                .all(|field| field.name != *name && field.alias != Some(name))
                        })
                        .collect();
                    if let Some(name) = free.first() {
                        let field = &mut fields[index];
                        field.alias = (entropy.below(2) == 0).then_some(field.name);
                        field.name = name;
                    }
                }
                4 => fields.reverse(),
                5 if !fields.is_empty() => {
                    let index = entropy.below(fields.len());
                    fields[index].has_default ^= true;
                }
                _ => rename(naming, entropy),
            },
            Self::Enum(naming, symbols, has_default) => match entropy.below(4) {
                0 => {
                    let free = SYMBOLS.into_iter().find(|symbol| !symbols.contains(symbol));
                    symbols.extend(free);
                }
                1 if symbols.len() > 1 => {
                    symbols.remove(entropy.below(symbols.len()));
                }
                2 => *has_default ^= true,
                _ => rename(naming, entropy),
            },
            Self::Fixed(naming, size) => match entropy.below(2) {
                0 => *size = 1 + *size % 3,
                _ => rename(naming, entropy),
            },
            Self::Around => *self = Self::Plain(entropy.pick(&PLAIN)),
        }
    }

    /// Whether a union has several branches that a value without its name could fit.
    pub(crate) fn has_rich_union(&self) -> bool {
        match self {
            Self::Array(inner) | Self::Map(inner) => inner.has_rich_union(),
            Self::Union(branches) => {
                let plain = |branch: &&Self| matches!(branch, Self::Plain("null"));
                branches.len() - branches.iter().filter(plain).count() > 1
                    || branches.iter().any(Self::has_rich_union)
            }
            Self::Record(_, fields) => fields.iter().any(|field| field.shape.has_rich_union()),
            _ => false,
        }
    }
}

fn naming(entropy: &mut Entropy<'_>) -> Naming {
    let namespace = if entropy.below(8) == 7 { "n" } else { "" };
    Naming { name: entropy.pick(&NAMES), namespace, alias: None }
}

fn rename(naming: &mut Naming, entropy: &mut Entropy<'_>) {
    if entropy.below(3) == 2 {
        naming.namespace = if naming.namespace.is_empty() { "n" } else { "" };
        return;
    }
    naming.alias = (entropy.below(2) == 0).then_some(naming.name);
    naming.name = entropy.pick(&NAMES);
}

/// Adds a branch, unless the specification forbids it in this union.
fn add_branch(branches: &mut Vec<Shape>, branch: Shape) {
    let base = |shape: &Shape| match shape {
        Shape::Plain(name) | Shape::Logical(_, name) => Some(*name),
        Shape::Array(_) => Some("array"),
        Shape::Map(_) => Some("map"),
        // `text` gives different named types different names.
        _ => None,
    };
    let is_like = |other: &Shape| match (base(other), base(&branch)) {
        (None, None) => *other == branch,
        (a, b) => a == b,
    };
    if !matches!(branch, Shape::Union(_) | Shape::Around) && !branches.iter().any(is_like) {
        branches.push(branch);
    }
}

fn add_field(fields: &mut Vec<Field>, entropy: &mut Entropy<'_>, depth: usize) {
    let is_free =
        |name: &&str| fields.iter().all(|field| field.name != *name && field.alias != Some(name));
    let Some(name) = FIELDS.into_iter().find(is_free) else { return };
    let is_around = entropy.below(12) == 11;
    let shape = if is_around { Shape::Around } else { Shape::inner(entropy, depth + 1, false) };
    fields.push(Field { name, alias: None, shape, has_default: entropy.below(2) == 1 });
}
