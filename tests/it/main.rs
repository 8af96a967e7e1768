//! The integration tests, one binary: against a real Apache Kafka and real Redis servers, on loopback.
//!
//! `make test` brings what they need. `support/` starts the servers; the other files hold the tests.

#![allow(clippy::disallowed_methods, reason = "tests wait by the clock and hand their environment to programs")]

mod api;
mod auth;
mod bad_input;
mod bounds;
mod commands;
mod commits;
mod counting;
mod crash;
mod demo;
mod examples;
mod fold_properties;
mod freshness;
mod fuzz;
mod generator;
mod harness;
mod healing;
mod inspect;
mod kafka_cluster;
mod kafka_forms;
mod kafka_secure;
mod layers;
mod letters;
mod logs;
mod lost_state;
mod made;
mod memory;
mod metrics;
mod namespace;
mod network_faults;
mod notice_properties;
mod notices;
mod operator;
mod oracle;
mod overload;
mod prices;
mod quota_assign;
mod quotas;
mod rated;
mod reader;
mod readiness;
mod real_requests;
mod redis_forms;
mod reload;
mod schedules;
mod script_conformance;
mod script_fuzz;
mod serving;
mod soak;
mod support;
mod worker_schedules;
