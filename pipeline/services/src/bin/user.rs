//! The user service, see [`services::topology::user`]. It holds nothing but the start.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    services::run(services::topology::user::service)
}
