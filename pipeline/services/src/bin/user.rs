//! The user service. See [`services::topology::user`] for what it does.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    services::run(services::topology::user::service)
}
