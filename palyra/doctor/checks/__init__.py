"""Checks: each a function of what was read to what is at fault."""
