"""Alerts, as a migration of its own: released text is never edited."""

ALERTS = """
CREATE TABLE alerts (
  seq INTEGER PRIMARY KEY,
  alert_id TEXT NOT NULL UNIQUE,
  revision INTEGER NOT NULL,
  version INTEGER NOT NULL,
  kind TEXT NOT NULL,
  severity TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'snoozed', 'resolved')),
  dedupe_key TEXT NOT NULL,
  subject_kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  occurrence_count INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  holds INTEGER NOT NULL,
  payload TEXT NOT NULL,
  notified_at INTEGER,
  snoozed_until INTEGER,
  resolved_at INTEGER,
  answered TEXT NOT NULL,
  acted_by TEXT NOT NULL,
  acted_at INTEGER,
  CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
) STRICT;
CREATE INDEX alerts_live ON alerts (first_seen) WHERE state <> 'resolved';
CREATE INDEX alerts_by_end ON alerts (resolved_at) WHERE resolved_at IS NOT NULL;
"""
