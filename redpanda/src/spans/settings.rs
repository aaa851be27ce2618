//! Where spans go. The address of the collector is a setting of every program; the other standard
//! variables of OpenTelemetry (`OTEL_...`) are read by its SDK.

use std::{env, thread, time::Duration};

use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF,
    OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, Protocol, SpanExporter,
    WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::trace::{OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BSP_MAX_QUEUE_SIZE_DEFAULT};
use reqwest::blocking::Client;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    settings::SettingError,
    tls::{self, Tls},
};

pub(super) const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
/// The path of spans below the address of a collector.
const PATH: &str = "/v1/traces";

/// The collector of OpenTelemetry spans. A URL may hold a password, so it is never printed.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SpanSettings {
    /// The OpenTelemetry collector, which gets spans by OTLP over HTTP, such as
    /// `http://127.0.0.1:4318`. Without it no spans are made. The other standard variables
    /// (OTEL_...) are known too.
    #[arg(long, env = ENDPOINT, value_name = "URL", hide_env_values = true)]
    pub otlp_endpoint: Option<SecretString>,
    /// The complete URL for spans, such as `http://127.0.0.1:4318/v1/traces`.
    #[arg(long, env = TRACES_ENDPOINT, value_name = "URL", hide_env_values = true)]
    pub otlp_traces_endpoint: Option<SecretString>,
}

impl SpanSettings {
    /// The URL to which spans are sent, and the variable that has it; `None` if none are sent.
    fn url(&self) -> Option<(&'static str, String)> {
        let is_off = variable("OTEL_SDK_DISABLED")
            .is_some_and(|it| it.eq_ignore_ascii_case("true"))
            || variable("OTEL_TRACES_EXPORTER").is_some_and(|it| it == "none");
        if is_off {
            return None;
        }
        let given = |url: &Option<SecretString>| {
            let url = url.as_ref()?.expose_secret().trim();
            (!url.is_empty()).then(|| url.to_owned())
        };
        if let Some(url) = given(&self.otlp_traces_endpoint) {
            return Some((TRACES_ENDPOINT, url));
        }
        let base = given(&self.otlp_endpoint)?;
        Some((ENDPOINT, format!("{}{PATH}", base.trim_end_matches('/'))))
    }

    /// The exporter to the collector; `None` if there is none.
    pub(super) fn exporter(&self, tls: &Tls) -> Result<Option<SpanExporter>, SettingError> {
        let Some((variable, url)) = self.url() else { return Ok(None) };
        let protocol = first(&[OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL]);
        let known = OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF;
        if protocol.is_some_and(|protocol| protocol != known) {
            return Err(SettingError::Wrong {
                variable: OTEL_EXPORTER_OTLP_PROTOCOL,
                why: format!("expected {known}, the only protocol that is built in"),
            });
        }
        // Neither the URL nor an error that may repeat it is shown.
        let wrong = |why: &str| SettingError::Wrong { variable, why: why.to_owned() };
        let no_url = || wrong("expected a URL, such as http://127.0.0.1:4318");
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(no_url());
        }
        let client =
            client(&url, tls)?.ok_or_else(|| wrong("no HTTP client can be made for it"))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .build();
        exporter.map(Some).map_err(|_| no_url())
    }
}

/// The HTTP client of the exporter; `None` if it can't be made. A blocking one, because the SDK
/// exports on a thread of its own. It has a runtime of its own, which can't be made on another
/// runtime's thread.
fn client(url: &str, tls: &Tls) -> Result<Option<Client>, SettingError> {
    let timeout = first(&[OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT]);
    let timeout = timeout.and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
    let timeout = timeout.unwrap_or(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT);
    // reqwest has no provider of its own, also for addresses without TLS.
    tls::install_provider();
    let rustls = match url.starts_with("https:") {
        true => Some(tls.client_config()?),
        false => None,
    };
    let made = thread::spawn(move || {
        let client = Client::builder().no_proxy().timeout(timeout);
        match rustls {
            Some(rustls) => client.tls_backend_preconfigured(rustls).build(),
            None => client.build(),
        }
    });
    Ok(made.join().ok().and_then(Result::ok))
}

/// How many spans wait for the exporter, or are being exported, at most.
pub(super) fn queue_size() -> usize {
    let given = variable(OTEL_BSP_MAX_QUEUE_SIZE).and_then(|size| size.parse().ok());
    given.filter(|size| *size > 0).unwrap_or(OTEL_BSP_MAX_QUEUE_SIZE_DEFAULT)
}

fn first(names: &[&str]) -> Option<String> {
    names.iter().copied().find_map(variable)
}

/// A variable of the environment; an empty one counts as unset.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
