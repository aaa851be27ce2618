//! One nginx for two purposes: it balances over the gateways, from the same files as in compose,
//! and it serves Apicurio's Confluent API at the root path of the registry's port. It writes into
//! the data folder only.

use std::path::Path;

use super::{Setup, make, program, registry, write};
use crate::stack::ports::local;
use crate::stack::{Part, PartKind, Ready, Secured, StackError};

pub(super) fn part(setup: &Setup) -> Result<Part, StackError> {
    let dir = setup.layout.data.join("nginx");
    make(&dir)?;
    let configs = setup.layout.configs();
    let template = setup.layout.root.join("gateway/nginx.conf.template");
    let balancer =
        std::fs::read_to_string(&template).map_err(StackError::file("read", &template))?;
    let http = local(setup.ports.public.http_port);
    let balancer = balancer
        .replace("${BALANCER_LISTEN}", &http)
        .replace("${GATEWAY_0}", &setup.ports.at("gateway-0"))
        .replace("${GATEWAY_1}", &setup.ports.at("gateway-1"));
    write(&configs.join("balancer.conf"), &balancer)?;
    if let Some(secured) = &setup.secured {
        write(&secured.registry_users(), &secured.registry()?)?;
    }
    let main = configs.join("nginx.conf");
    write(&main, &configuration(setup, &dir))?;
    let command = crate::command![program("nginx")?, "-e", "stderr", "-p", &dir, "-c", &main];
    let shown = format!("http://{http}, registry http://{}", registry_address(setup));
    Ok(Part::new("nginx", PartKind::Server, 2, command, Ready::Tcp(http)).at(shown))
}

fn registry_address(setup: &Setup) -> String {
    local(setup.ports.public.registry_port)
}

/// The main configuration of an nginx that writes into `dir`.
fn configuration(setup: &Setup, dir: &Path) -> String {
    let (scheme, encryption) = match &setup.secured {
        None => ("", String::new()),
        Some(secured) => (" ssl", encryption(secured)),
    };
    format!(
        "# Written by the stack at each start.
daemon off;
worker_processes 2;
{user}pid {pid};
error_log stderr warn;
include {bounds};
http {{
    access_log off;
    client_body_temp_path {body};
    proxy_temp_path {proxy};
    fastcgi_temp_path {fastcgi};
    uwsgi_temp_path {uwsgi};
    scgi_temp_path {scgi};
    include {balancer};

    # Schema registry: Confluent's API at the root, where clients and rpk expect it. The path is
    # passed unchanged, with its escapes.
    server {{
        listen {registry}{scheme};
{encryption}        client_max_body_size 1m;
        location / {{
            proxy_pass http://{apicurio}{api}$request_uri;
            proxy_set_header Host $http_host;
        }}
    }}
}}
",
        user = if nix::unistd::geteuid().is_root() { "user root;\n" } else { "" },
        pid = quoted(&dir.join("nginx.pid")),
        bounds = quoted(&setup.layout.root.join("gateway/nginx.main.conf")),
        body = quoted(&dir.join("body")),
        proxy = quoted(&dir.join("proxy")),
        fastcgi = quoted(&dir.join("fastcgi")),
        uwsgi = quoted(&dir.join("uwsgi")),
        scgi = quoted(&dir.join("scgi")),
        balancer = quoted(&setup.layout.configs().join("balancer.conf")),
        registry = registry_address(setup),
        apicurio = setup.ports.at("apicurio"),
        api = registry::API,
    )
}

/// The lines of the registry's server that ask for a user over TLS.
fn encryption(secured: &Secured) -> String {
    format!(
        "        ssl_certificate {};
        ssl_certificate_key {};
        auth_basic registry;
        auth_basic_user_file {};
",
        quoted(&secured.cert()),
        quoted(&secured.key()),
        quoted(&secured.registry_users())
    )
}

/// A path as an argument in nginx's configuration: it may contain spaces, quotes and backslashes.
fn quoted(path: &Path) -> String {
    let escaped = path.display().to_string().replace('\\', r"\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{Layout, Ports, Secrets};

    #[test]
    fn path_is_one_argument() {
        assert_eq!(quoted(Path::new("/a checkout/pid")), r#""/a checkout/pid""#);
        assert_eq!(quoted(Path::new(r#"/a"b\c"#)), r#""/a\"b\\c""#);
    }

    #[test]
    fn every_path_of_the_configuration_is_quoted() {
        let dir = tempfile::Builder::new().prefix("a checkout").tempdir().expect("a folder");
        let layout = Layout {
            root: dir.path().into(),
            data: dir.path().join("data"),
            bins: dir.path().into(),
        };
        layout.make().expect("folders");
        let setup = Setup {
            ports: Ports::anywhere(),
            secrets: Secrets::ready(&layout).expect("secrets"),
            secured: Some(Secured::ready(&layout).expect("certificates")),
            layout,
        };

        let text = configuration(&setup, &setup.layout.data.join("nginx"));

        let paths: Vec<_> = text.lines().filter(|line| line.contains("/a checkout")).collect();
        assert_eq!(paths.len(), 11, "{text}");
        for line in paths {
            let argument = line.trim_start().split_once(' ').expect("a name and an argument").1;
            assert!(argument.starts_with("\"/") && argument.ends_with("\";"), "{line}");
        }
    }
}
