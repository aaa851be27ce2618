//! The one list of Millrace's own programs. Ports, parts, health checks, Prometheus' targets, users
//! of a secured stack, the fault suite and the tests of compose.yaml follow from it: a new service
//! is one row here, its topology, and its entries in the files of Compose, which `tests/compose`
//! compares with this. Provisioning, which runs once, and the servers are parts of their own.

/// How many instances of each program a stack knows.
pub const INSTANCES: usize = 2;

/// What a program does in the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Processes records. One instance runs by itself; a second one takes over half the partitions.
    Service,
    /// Serves HTTP behind the balancer. Every instance runs by itself.
    Gateway,
}

/// A store of projections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// PostgreSQL.
    Postgres,
    /// MongoDB.
    Mongo,
    /// Redis.
    Redis,
}

/// A program that runs until it is stopped.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The name of the binary, of its Prometheus job and of its user in a secured cluster. The
    /// names of its instances begin with it.
    pub name: &'static str,
    /// What it does.
    pub role: Role,
    /// The port that the internal listener (metrics and health) of its first instance gets in `up`,
    /// if it is free. Each further instance gets the next one.
    pub internal_port: u16,
    /// The same for its public listener, if it has one.
    pub public_port: Option<u16>,
    /// The stores that it uses.
    pub stores: &'static [Store],
    /// Whether it sends mail.
    pub sends_mail: bool,
    /// How it proves who it is to the broker of a secured stack. Every mechanism serves a program.
    pub sasl_mechanism: &'static str,
}

/// Every program. A row is a service, or the gateway.
pub const PROGRAMS: &[Program] = &[
    Program {
        name: "user",
        role: Role::Service,
        internal_port: 19_100,
        public_port: None,
        stores: &[Store::Postgres, Store::Redis],
        sends_mail: false,
        sasl_mechanism: "SCRAM-SHA-512",
    },
    Program {
        name: "order",
        role: Role::Service,
        internal_port: 19_102,
        public_port: None,
        stores: &[Store::Postgres, Store::Mongo, Store::Redis],
        sends_mail: false,
        sasl_mechanism: "SCRAM-SHA-256",
    },
    Program {
        name: "notification",
        role: Role::Service,
        internal_port: 19_104,
        public_port: None,
        stores: &[Store::Postgres, Store::Mongo, Store::Redis],
        sends_mail: true,
        sasl_mechanism: "PLAIN",
    },
    Program {
        name: "gateway",
        role: Role::Gateway,
        internal_port: 19_106,
        public_port: Some(13_101),
        stores: &[Store::Postgres, Store::Mongo, Store::Redis],
        sends_mail: false,
        sasl_mechanism: "SCRAM-SHA-512",
    },
];

impl Program {
    /// The name of instance `number`, which is the name of its part.
    pub fn instance(&self, number: usize) -> String {
        format!("{}-{number}", self.name)
    }

    /// The names of all instances.
    pub fn instances(&self) -> impl Iterator<Item = String> {
        (0..INSTANCES).map(|number| self.instance(number))
    }

    /// Whether the stack starts instance `number` without being asked.
    pub fn starts_by_itself(&self, number: usize) -> bool {
        number == 0 || self.role == Role::Gateway
    }

    /// The names of the instances that the stack starts without being asked.
    pub fn started(&self) -> impl Iterator<Item = String> {
        (0..INSTANCES)
            .filter(|number| self.starts_by_itself(*number))
            .map(|number| self.instance(number))
    }

    /// The service of `compose.yaml` that runs instance `number`.
    pub fn compose_service(&self, number: usize) -> String {
        match self.role {
            Role::Service if number == 0 => self.name.to_owned(),
            Role::Service | Role::Gateway => self.instance(number),
        }
    }
}

impl Store {
    /// The name of its part.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mongo => "mongo",
            Self::Redis => "redis",
        }
    }
}

/// The services, without the gateway.
pub fn services() -> impl Iterator<Item = &'static Program> {
    PROGRAMS.iter().filter(|program| program.role == Role::Service)
}

/// The first instance of each service.
pub fn first_services() -> Vec<String> {
    services().map(|service| service.instance(0)).collect()
}

/// The variable in which `stack run` passes the internal listener of `instance` to its command.
pub fn internal_variable(instance: &str) -> String {
    format!("MILLRACE_INTERNAL_{}", instance.to_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_instance_has_a_port_of_its_own_and_a_compose_service() {
        let ports: HashSet<_> = PROGRAMS
            .iter()
            .flat_map(|program| (0..INSTANCES).map(|number| program.internal_port + number as u16))
            .collect();
        assert_eq!(ports.len(), PROGRAMS.len() * INSTANCES);
        let compose: Vec<_> = PROGRAMS.iter().map(|program| program.compose_service(0)).collect();
        assert!(compose.starts_with(&["user".into()]) && compose.ends_with(&["gateway-0".into()]));
    }

    #[test]
    fn second_instance_of_a_service_waits_to_be_asked_for() {
        let started: Vec<_> = PROGRAMS.iter().flat_map(Program::started).collect();
        assert!(started.starts_with(&["user-0".into(), "order-0".into()]), "{started:?}");
        assert!(started.ends_with(&["gateway-0".into(), "gateway-1".into()]), "{started:?}");
        assert_eq!(internal_variable("order-1"), "MILLRACE_INTERNAL_ORDER_1");
    }
}
