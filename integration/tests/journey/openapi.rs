//! Schemathesis over `gateway/openapi.json`, through the balancer: valid requests are accepted,
//! invalid ones refused, and every answer is one that the document describes. `integration/openapi`
//! has its settings, `integration/test` installs it. The seed is fixed, so that a finding can be
//! reproduced.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::process::Command;

use crate::support::{Judge, Send, system};

/// The whole run takes half of it on two cores.
const RUN_MAX: Duration = Duration::from_secs(240);

#[tokio::test]
#[ignore = "needs the stack and Schemathesis: integration/test installs it"]
async fn schemathesis_finds_nothing() {
    let system = system().await;
    let (admin, ada) = (system.admin().await, system.user("Ada").await);
    // The product of the document's examples; it may exist already.
    admin
        .add_product("rye-flour-1kg", "Rye flour", 349)
        .wait(10)
        .answer()
        .await
        .expect_one_of(&[201, 409]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout");
    let program = root.join(".millrace/schemathesis/bin/schemathesis");
    let mut run = Command::new(&program);
    run.arg("--config-file")
        .arg(root.join("integration/openapi/schemathesis.toml"))
        .arg("run")
        .arg(root.join("gateway/openapi.json"))
        .arg("--no-color")
        .env("SCHEMATHESIS_HOOKS", root.join("integration/openapi/hooks.py"))
        .env("USER_TOKEN", ada.client.token().expect("a token"))
        .env("ADMIN_TOKEN", admin.token().expect("a token"))
        // Schemathesis writes files into its working directory.
        .current_dir(root.join(".millrace"))
        .stdin(Stdio::null())
        .kill_on_drop(true);

    let output = tokio::time::timeout(RUN_MAX, run.output()).await;

    let output = output.unwrap_or_else(|_| panic!("Schemathesis ran longer than {RUN_MAX:?}"));
    let output = output.unwrap_or_else(|error| panic!("running {}: {error}", program.display()));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}
