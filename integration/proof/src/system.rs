//! What kind of system is under test, from the environment that its stack sets. It asks no server.

use integration::stack::control;

/// The kind of system under test.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// Whether its parts are containers.
    pub containers: bool,
    /// Whether its brokers are Redpanda itself and not a stand-in.
    pub redpanda: bool,
    /// The number of its brokers.
    pub brokers: usize,
    /// Whether services can reach the brokers through the suite's proxy.
    pub broker_proxy: bool,
}

impl System {
    /// The system whose stack has started this process.
    pub fn from_env() -> Self {
        let variable = |name| std::env::var(name).ok();
        Self {
            containers: variable(control::VARIABLE).is_some_and(|stack| stack == "compose"),
            redpanda: variable("MILLRACE_REDPANDA").is_some_and(|is| is == "yes"),
            brokers: variable("MILLRACE_BROKERS_INTERNAL")
                .map_or(1, |brokers| brokers.split(',').count()),
            broker_proxy: variable("MILLRACE_PROXY").is_some(),
        }
    }
}
