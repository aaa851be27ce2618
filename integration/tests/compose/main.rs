//! compose.yaml against the native stack: the same ports, settings, balancer and Prometheus files,
//! health checks everywhere, and nothing internal published. It reads the file only, so it needs
//! neither a Docker engine nor a stack. If Go is installed, it also compares compose-go's reading
//! of the file with its own.

mod deployment;
mod file;
mod processes;
