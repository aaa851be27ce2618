//! The branch of a union that a value fits, found once for each value and type.
//!
//! Values nest, and so do unions. A walk that tries every branch with the whole value below it,
//! again at every level, takes time that doubles with each level. Therefore JSON is kept as a list
//! of nodes, with the answer for each node and type. It writes no bytes.

use std::collections::{HashMap, HashSet};

use apache_avro::{Schema as Avro, schema::RecordSchema};
use serde_json::{Map, Value};

use super::{
    kind::{Kind, Names, branch_name, kind},
    leaf::is_leaf_of,
};

/// The index of a node in its [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeId(usize);

/// A JSON value whose parts are nodes of their own.
pub(super) enum Node {
    /// Anything but an array or an object.
    Leaf(Value),
    Array(Vec<NodeId>),
    /// Every key occurs once.
    Object(Vec<(String, NodeId)>),
}

/// The nodes of a value, and which types they fit.
pub(super) struct Tree<'a> {
    names: &'a Names<'a>,
    nodes: Vec<Node>,
    /// Whether a node can be written as a type, which its address identifies: the schema outlives
    /// the tree.
    fits: HashMap<(*const Avro, NodeId), bool>,
    /// The nodes of defaults, by the address of the default in the schema.
    defaults: HashMap<*const Value, NodeId>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(names: &'a Names<'a>) -> Self {
        Self { names, nodes: Vec::new(), fits: HashMap::new(), defaults: HashMap::new() }
    }

    pub(super) fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    pub(super) fn get(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Adds `json` with all its parts.
    pub(super) fn json(&mut self, json: &Value) -> NodeId {
        let node = match json {
            Value::Array(values) => {
                Node::Array(values.iter().map(|value| self.json(value)).collect())
            }
            Value::Object(values) => Node::Object(
                values.iter().map(|(key, value)| (key.clone(), self.json(value))).collect(),
            ),
            leaf => Node::Leaf(leaf.clone()),
        };
        self.push(node)
    }

    /// Adds a default of the schema, once.
    pub(super) fn default(&mut self, default: &Value) -> NodeId {
        let key = std::ptr::from_ref(default);
        if let Some(id) = self.defaults.get(&key) {
            return *id;
        }
        let id = self.json(default);
        self.defaults.insert(key, id);
        id
    }

    /// Removes the node and its parts, and returns them as JSON.
    pub(super) fn take(&mut self, id: NodeId) -> Value {
        match std::mem::replace(&mut self.nodes[id.0], Node::Leaf(Value::Null)) {
            Node::Leaf(value) => value,
            Node::Array(items) => items.into_iter().map(|item| self.take(item)).collect(),
            Node::Object(entries) => {
                let entries = entries.into_iter().map(|(key, value)| (key, self.take(value)));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// The branch that a value is written as, and the value to write: the inner one of `{"long":
    /// 5}`, or else the whole. `None` if it fits no branch.
    pub(super) fn pick(&mut self, branches: &[Avro], id: NodeId) -> Option<(usize, NodeId)> {
        if let Node::Object(entries) = self.get(id)
            && let [(name, inner)] = entries.as_slice()
            && let Some(index) =
                branches.iter().position(|branch| branch_name(self.names, branch) == *name)
        {
            let inner = *inner;
            if self.fits(&branches[index], inner) {
                return Some((index, inner));
            }
        }
        branches.iter().position(|branch| self.fits(branch, id)).map(|index| (index, id))
    }

    /// Whether a value can be written as `schema`.
    fn fits(&mut self, schema: &Avro, id: NodeId) -> bool {
        let key = (std::ptr::from_ref(schema), id);
        if let Some(known) = self.fits.get(&key) {
            return *known;
        }
        // A default that contains itself is never written to its end, so it does not fit.
        self.fits.insert(key, false);
        let fits = self.is_written_as(schema, id);
        self.fits.insert(key, fits);
        fits
    }

    fn is_written_as(&mut self, schema: &Avro, id: NodeId) -> bool {
        let kind = kind(self.names, schema);
        match (kind, self.get(id)) {
            (Kind::Union(union), _) => self.pick(union.variants(), id).is_some(),
            (Kind::Array(items), Node::Array(values)) => {
                let values = values.clone();
                values.into_iter().all(|value| self.fits(items, value))
            }
            (Kind::Map(types), Node::Object(entries)) => {
                let values: Vec<_> = entries.iter().map(|(_, value)| *value).collect();
                values.into_iter().all(|value| self.fits(types, value))
            }
            (Kind::Record(record), Node::Object(_)) => {
                let (fields, unknown) = self.fields(record, id);
                unknown.is_empty()
                    && record.fields.iter().zip(fields).all(|(field, value)| {
                        value.is_some_and(|value| self.fits(&field.schema, value))
                    })
            }
            (kind, Node::Leaf(json)) => is_leaf_of(&kind, json),
            _ => false,
        }
    }

    /// The value or default of each field of a record, and the keys that are no fields.
    pub(super) fn fields(
        &mut self,
        record: &RecordSchema,
        id: NodeId,
    ) -> (Vec<Option<NodeId>>, Vec<String>) {
        let Node::Object(entries) = self.get(id) else { return (Vec::new(), Vec::new()) };
        let values: HashMap<String, NodeId> = entries.iter().cloned().collect();
        let known: HashSet<_> = record.fields.iter().map(|field| field.name.as_str()).collect();
        let unknown =
            entries.iter().map(|(key, _)| key).filter(|key| !known.contains(key.as_str()));
        let unknown = unknown.cloned().collect();
        let fields = record.fields.iter().map(|field| {
            let value = values.get(&field.name).copied();
            value.or_else(|| field.default.as_ref().map(|default| self.default(default)))
        });
        (fields.collect(), unknown)
    }
}
