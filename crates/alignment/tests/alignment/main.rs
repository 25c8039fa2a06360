//! The alignment core against the rules and situations it is specified by.

mod house;
mod login_and_logout;
mod random_walk;
mod repairs;
mod shared_table;
mod sight;
mod situations;
