//! A sans-IO model of a small Asterisk for first runs, simulations and tests; never for production.
