//! The branches before the lines of a tree, such as `│  └─ `.

/// The branches of nodes, each of which follows its parent. A node whose parent is not before it is
/// a root.
pub(crate) fn branches(parents: &[Option<usize>]) -> Vec<String> {
    let parent = |node: usize| parents[node].filter(|parent| *parent < node);
    let mut last_child = vec![None; parents.len()];
    for node in 0..parents.len() {
        if let Some(parent) = parent(node) {
            last_child[parent] = Some(node);
        }
    }
    // What is before the children of each node.
    let mut inner: Vec<String> = Vec::with_capacity(parents.len());
    let mut lines = Vec::with_capacity(parents.len());
    for node in 0..parents.len() {
        let (line, below) = match parent(node) {
            None => (String::new(), String::new()),
            Some(above) if last_child[above] == Some(node) => {
                (format!("{}└─ ", inner[above]), format!("{}   ", inner[above]))
            }
            Some(above) => (format!("{}├─ ", inner[above]), format!("{}│  ", inner[above])),
        };
        lines.push(line);
        inner.push(below);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_goes_on_until_the_last_child() {
        let parents = [None, Some(0), Some(1), Some(1), Some(0), Some(4), None];
        let expected = ["", "├─ ", "│  ├─ ", "│  └─ ", "└─ ", "   └─ ", ""];
        assert_eq!(branches(&parents), expected);
    }

    #[test]
    fn parent_that_does_not_precede_its_child_makes_no_circle() {
        assert_eq!(branches(&[Some(1), Some(1), Some(9)]), ["", "", ""]);
    }
}
