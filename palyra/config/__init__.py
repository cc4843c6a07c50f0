"""`palyra.toml` and the environment: find, merge, validate, with provenance for every value."""
