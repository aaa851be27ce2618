//! The order service. See [`services::topology::order`] for what it does.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    services::run(services::topology::order::service)
}
