//! A server with a proxy in front of it, and the setting by which a service uses the proxy.

use crate::proxy::{Protocol, Proxy};

/// A server with a proxy in front of it, for services that are started to use it.
pub struct Proxied {
    /// The server's name in the stack.
    pub server: &'static str,
    /// The proxy.
    pub proxy: Proxy,
    /// The variable that names the server to a service, and its value if the service is to use the
    /// proxy.
    pub through: (&'static str, String),
}

impl Proxied {
    /// Starts a proxy in front of the store whose address `url` is, at `host`.
    ///
    /// # Errors
    /// When the proxy can't listen.
    pub async fn store(
        server: &'static str,
        variable: &'static str,
        url: &str,
        protocol: Protocol,
        host: &str,
    ) -> anyhow::Result<Self> {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let at = rest.split(['/', '?']).next().unwrap_or(rest).rsplit('@').next().unwrap_or(rest);
        let proxy = Proxy::start(&[(&format!("{host}:0"), at)], protocol).await?;
        let through = (variable, url.replace(at, &proxy.at()));
        Ok(Self { server, proxy, through })
    }
}
