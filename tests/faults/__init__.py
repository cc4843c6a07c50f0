"""The real engine, killed and failed at every write the system sees: `python -m tests.faults`."""
