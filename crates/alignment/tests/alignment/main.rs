//! The alignment core against the rules and situations it is specified by.

mod doubt;
mod house;
mod login_and_logout;
mod pauses;
mod queues;
mod random_walk;
mod repairs;
mod shared_table;
mod sight;
mod situations;
mod whose;
