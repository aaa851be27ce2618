//! The path of the value where a walk is, in words for people. It knows no schema.

/// Values within values that are followed: as deep as `serde_json` reads.
pub(super) const DEPTH_MAX: usize = 120;

/// The path of the value where a walk is.
#[derive(Clone, Default)]
pub(super) struct Path {
    text: String,
    /// Whether the keys of maps, which are parts of the value, are left out.
    hides_keys: bool,
    /// The length of the text before each part.
    lengths: Vec<usize>,
}

impl Path {
    /// The path of the whole value.
    pub(super) fn new(hides_keys: bool) -> Self {
        Self { hides_keys, ..Self::default() }
    }

    /// Goes into a field.
    pub(super) fn field(&mut self, name: &str) {
        self.lengths.push(self.text.len());
        if !self.text.is_empty() {
            self.text.push('.');
        }
        self.text.push_str(name);
    }

    /// Goes into an item of an array.
    pub(super) fn item(&mut self, index: usize) {
        self.part(&format!("[{index}]"));
    }

    /// Goes into a value of a map.
    pub(super) fn key(&mut self, key: &str) {
        if self.hides_keys {
            self.part("{}");
        } else {
            self.part(&format!("[{key:?}]"));
        }
    }

    fn part(&mut self, part: &str) {
        self.lengths.push(self.text.len());
        self.text.push_str(part);
    }

    /// Leaves the last part.
    pub(super) fn up(&mut self) {
        self.text.truncate(self.lengths.pop().unwrap_or_default());
    }

    /// The number of its parts.
    pub(super) fn depth(&self) -> usize {
        self.lengths.len()
    }

    /// The path as text; empty for the whole value.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}
