//! The notification service. See [`services::topology::notification`] for what it does.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    services::run(services::topology::notification::service)
}
