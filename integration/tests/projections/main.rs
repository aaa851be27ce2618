//! The projections over real stores: what is read, who may write, and what happens when data is
//! lost.

mod live;
mod loss;
mod migrations;
mod notices;
mod odd_records;
mod operations;
mod orders;
mod people;
mod progress;
mod statistics;
mod stories;
mod support;
mod trace;
