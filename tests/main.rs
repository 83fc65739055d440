//! The integration tests: one binary, one module a behaviour.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of a test may fail the test")]

mod access;
mod attendance;
mod audit;
#[cfg(debug_assertions)]
mod backpressure;
mod bad_input;
mod calibration;
mod cli;
mod closeups;
mod connections;
mod contract;
mod disks;
mod door;
mod durability;
mod enrolment;
mod enrolment_rules;
mod erasure;
mod events;
mod gallery;
mod idempotency;
mod import;
mod isolation;
mod jobs;
mod licence;
mod logs;
mod maintenance;
mod openapi;
mod people;
mod photos;
mod power;
mod quotas;
#[cfg(debug_assertions)]
mod reads;
mod recognition;
mod reports;
#[cfg(debug_assertions)]
mod rights;
mod roles;
mod roster_files;
mod rosters;
mod sessions;
mod shutdown;
#[cfg(debug_assertions)]
mod spans;
mod start;
mod stores;
mod strangers;
mod strictness;
#[cfg(debug_assertions)]
mod supervision;
#[cfg_attr(not(debug_assertions), expect(dead_code, reason = "the tests with planted faults use the rest"))]
mod support;
mod tables;
mod tenants;
mod tls;
mod turned;
mod webhooks;
