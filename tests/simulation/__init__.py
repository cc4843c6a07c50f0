"""A simulated month: one seed, a clock turned by hand, real engines on a real journal, and people nobody relies on."""
