//! `stack ctl`: sends one request to a running stack and prints the answer.

use std::path::Path;
use std::process::ExitCode;

use crate::chain;
use crate::stack::{ControlError, Layout, StackError, control};

/// Sends one request to a running stack and prints the answer.
pub async fn ctl(data: &Path, request: &[String]) -> Result<ExitCode, StackError> {
    let layout = Layout::find(data)?;
    let client = match std::env::var_os(control::VARIABLE) {
        Some(path) => control::Client::at(path),
        None => control::Client::at(layout.socket()),
    };
    let refused = |error: ControlError| StackError::Refused(chain(&error));
    if request == ["status"] {
        for part in client.status().await.map_err(refused)? {
            let pid = part.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            say!("{:<16} {:<12} {:>8}  {}", part.name, part.state, pid, part.address);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let answer = client.raw(&request.join(" ")).await.map_err(refused)?;
    say!("{answer}");
    Ok(if answer.starts_with(r#"{"ok":true"#) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
