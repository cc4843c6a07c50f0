"""Circuits of features that were healed too often, as a migration of its own: released text is never edited."""

CIRCUITS = """
CREATE TABLE healing_circuits (
  feature TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  opened_at INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT;
"""
