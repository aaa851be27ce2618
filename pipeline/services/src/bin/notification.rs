//! The notification service, see [`services::topology::notification`]. It holds nothing but the
//! start.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    services::run(services::topology::notification::service)
}
