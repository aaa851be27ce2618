//! Paths of generated types: which module a namespace becomes, and how one type names another.

use anyhow::{Context as _, Result, bail};

use crate::names::ROOT;

/// The module of a namespace, and whether its types stand in the inner module `state`.
pub(super) fn module(namespace: &str) -> Result<(&str, bool)> {
    if namespace == ROOT {
        return Ok(("common", false));
    }
    let rest = namespace.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('.'));
    let rest = rest.with_context(|| format!("{namespace} is not in {ROOT}"))?;
    match rest.split_once('.') {
        None => Ok((rest, false)),
        Some((context, "state")) => Ok((context, true)),
        Some(_) => bail!("{namespace} is too deep: {ROOT}.<context> or {ROOT}.<context>.state"),
    }
}

/// The path of a type, as code of the namespace `from` names it.
pub(super) fn path(full: &str, from: &str) -> Result<String> {
    let (namespace, name) =
        full.rsplit_once('.').with_context(|| format!("{full} has no namespace"))?;
    if namespace == from {
        return Ok(name.to_owned());
    }
    Ok(match module(namespace)? {
        ("common", _) => format!("crate::{name}"),
        (context, false) => format!("crate::{context}::{name}"),
        (context, true) => format!("crate::{context}::state::{name}"),
    })
}

#[cfg(test)]
mod tests {
    use super::module;

    #[test]
    fn namespace_is_the_root_or_below_it() {
        assert_eq!(module("millrace").expect("the root"), ("common", false));
        assert_eq!(module("millrace.order").expect("a context"), ("order", false));
        assert_eq!(module("millrace.order.state").expect("its states"), ("order", true));
        for wrong in ["millracex", "millracex.order", "shop", "", "millrace.order.state.deep"] {
            assert!(module(wrong).is_err(), "{wrong}");
        }
    }
}
