//! Virtual clock, seeded network and fixtures for tests.
