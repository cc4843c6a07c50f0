"""Failures, services outside and the journal's growth: a migration, which is never edited."""

OBSERVATIONS = """
CREATE TABLE failures (
  failure_id TEXT NOT NULL PRIMARY KEY,
  version INTEGER NOT NULL,
  at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  source TEXT NOT NULL,
  subject TEXT NOT NULL,
  code TEXT NOT NULL,
  failure_class TEXT NOT NULL,
  message TEXT NOT NULL,
  correlation TEXT NOT NULL,
  count INTEGER NOT NULL CHECK (count > 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE probes (
  probe_id TEXT NOT NULL PRIMARY KEY,
  version INTEGER NOT NULL,
  target TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('up', 'down', 'unknown')),
  failures INTEGER NOT NULL,
  successes INTEGER NOT NULL,
  last_at INTEGER,
  latency_ms INTEGER,
  error TEXT NOT NULL,
  code TEXT NOT NULL,
  changed_at INTEGER,
  hours TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE journal_sizes (
  hour INTEGER NOT NULL PRIMARY KEY,
  bytes INTEGER NOT NULL
) STRICT;
"""
