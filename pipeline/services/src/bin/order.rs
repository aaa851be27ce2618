//! The order service, see [`services::topology::order`]. It holds nothing but the start.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    services::run(services::topology::order::service)
}
