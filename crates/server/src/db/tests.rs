//! Behaviour of the database.
