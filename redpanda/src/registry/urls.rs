//! Checks the registry's addresses, and masks passwords in them. It resolves no name.

use std::{ffi::OsStr, fmt};

use clap::builder::TypedValueParser;
use reqwest::Url;

use super::error::RegistryError;

/// The text of a URL for messages: everything between its scheme and its last `@` is masked,
/// because it may contain a password. The text need not be a valid URL.
pub(super) fn masked(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}***@{host}"),
        None => url.to_owned(),
    }
}

/// Checks a list of registry URLs and returns it in its normal form: no spaces, no trailing
/// slashes.
///
/// # Errors
/// If the list is empty or one of its items is not an `http` or `https` URL.
pub fn checked_urls(urls: &str) -> Result<String, RegistryError> {
    let checked: Result<Vec<_>, _> = urls
        .split(',')
        .map(|url| {
            let url = url.trim().trim_end_matches('/');
            let wrong = |cause: String| {
                // A comma in a password splits it over two items: only the whole list shows where
                // it ends.
                let url = if urls.contains('@') { masked(urls) } else { url.to_owned() };
                RegistryError::Address { url, cause }
            };
            let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
            match parsed.scheme() {
                "http" | "https" => Ok(url.to_owned()),
                other => Err(wrong(format!("{other} is neither http nor https"))),
            }
        })
        .collect();
    Ok(checked?.join(","))
}

/// Whether a URL contains a user or a password.
pub(super) fn has_login(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
}

/// Addresses of a registry in their normal form. They may contain a password, which `Debug` masks.
#[derive(Clone, PartialEq, Eq)]
pub struct Urls(pub(super) String);

impl fmt::Debug for Urls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Urls").field(&masked(&self.0)).finish()
    }
}

/// [`checked_urls`] as a parser for clap. If a function is the parser, clap's own error prints the
/// whole value, which may contain a password.
#[derive(Clone, Copy, Debug)]
pub struct UrlsParser;

impl TypedValueParser for UrlsParser {
    type Value = Urls;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Urls, clap::Error> {
        checked_urls(&value.to_string_lossy()).map(Urls).map_err(|error| {
            let argument = argument.map(|argument| format!("{argument}: ")).unwrap_or_default();
            let error = format!("{argument}{error}\n");
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, error).with_cmd(command)
        })
    }
}
