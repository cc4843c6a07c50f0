"""Secrets at rest, and who may do what: the vault and its key, gateway keys, operators."""
