//! One nginx for two purposes: it balances over the gateways, from the same files as in compose,
//! and it serves Apicurio's Confluent API at the root path of the registry's port. It writes into
//! the data folder only.

use super::{Setup, make, program, registry, write};
use crate::stack::ports::local;
use crate::stack::{Part, PartKind, Ready, StackError};

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
    let main = configs.join("nginx.conf");
    let bounds = setup.layout.root.join("gateway/nginx.main.conf");
    let registry = local(setup.ports.public.registry_port);
    let (scheme, encryption) = match &setup.secured {
        None => ("", String::new()),
        Some(secured) => {
            let (users, lines) = secured.registry()?;
            write(&secured.registry_users(), &users)?;
            (" ssl", lines)
        }
    };
    let text = format!(
        "# Written by the stack at each start.
daemon off;
worker_processes 2;
{user}pid {dir}/nginx.pid;
error_log stderr warn;
include {bounds};
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
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
        dir = dir.display(),
        bounds = bounds.display(),
        balancer = configs.join("balancer.conf").display(),
        apicurio = setup.ports.at("apicurio"),
        api = registry::API,
    );
    write(&main, &text)?;
    let command = crate::command![program("nginx")?, "-e", "stderr", "-p", &dir, "-c", &main];
    let shown = format!("http://{http}, registry http://{registry}");
    Ok(Part::new("nginx", PartKind::Server, 2, command, Ready::Tcp(http)).at(shown))
}
