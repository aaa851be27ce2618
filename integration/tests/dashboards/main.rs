//! The dashboards and the rules against the code: every metric in them is exported, every alert has
//! a runbook and a rule test, every panel has a description, and Prometheus accepts every
//! expression. [`data`] runs every query on the stack. No test renders a dashboard.

mod alerts;
mod data;
mod links;
mod metrics;
mod panels;
mod sources;
