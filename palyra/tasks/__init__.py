"""The background queue: durable work that nobody waits for, claimed, run, watched over and finished exactly once."""
