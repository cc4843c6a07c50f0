"""Notes that jobs, sessions and operators keep, recalled by meaning or by word."""
