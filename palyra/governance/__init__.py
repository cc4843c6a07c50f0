"""Policies, ledger, routing, decisions, approvals: pure functions of values and an instant."""
