"""Repairs: each a function of what was read and found to the bytes it would write."""
