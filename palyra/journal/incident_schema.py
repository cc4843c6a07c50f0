"""Incidents and what belongs to them, as a migration of its own: released text is never edited."""

INCIDENTS = """
CREATE TABLE incidents (
  seq INTEGER PRIMARY KEY,
  incident_id TEXT NOT NULL UNIQUE,
  domain TEXT NOT NULL,
  key TEXT NOT NULL,
  family TEXT NOT NULL,
  feature TEXT NOT NULL,
  severity TEXT NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')),
  summary TEXT NOT NULL,
  condition_since INTEGER NOT NULL,
  opened_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'remediating', 'resolved')),
  detail TEXT NOT NULL,
  cause TEXT NOT NULL,
  subject TEXT NOT NULL,
  related TEXT NOT NULL,
  parent_id TEXT NOT NULL,
  children INTEGER NOT NULL,
  episode INTEGER NOT NULL,
  occurrence_count INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  version INTEGER NOT NULL,
  holds INTEGER NOT NULL,
  gone_since INTEGER,
  muted INTEGER NOT NULL,
  flapping INTEGER NOT NULL,
  escalated INTEGER NOT NULL,
  resolved_at INTEGER,
  resolved_by TEXT NOT NULL,
  reason TEXT NOT NULL,
  acknowledged_at INTEGER,
  acknowledged_by TEXT NOT NULL,
  assignee TEXT NOT NULL,
  snoozed_until INTEGER,
  snooze_reason TEXT NOT NULL,
  UNIQUE (domain, key),
  CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
) STRICT;

CREATE TABLE incident_timeline (
  seq INTEGER PRIMARY KEY,
  entry_id TEXT NOT NULL UNIQUE,
  incident_id TEXT NOT NULL REFERENCES incidents (incident_id) ON DELETE CASCADE,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  by TEXT NOT NULL,
  data TEXT NOT NULL
) STRICT;
CREATE INDEX incident_timeline_of_one ON incident_timeline (incident_id);

CREATE TABLE remedy_attempts (
  seq INTEGER PRIMARY KEY,
  attempt_id TEXT NOT NULL UNIQUE,
  incident_id TEXT NOT NULL REFERENCES incidents (incident_id) ON DELETE CASCADE,
  episode INTEGER NOT NULL,
  remedy TEXT NOT NULL,
  subject TEXT NOT NULL,
  feature TEXT NOT NULL,
  mode TEXT NOT NULL,
  asked_by TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  planned_at INTEGER NOT NULL,
  version INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('planned', 'running', 'succeeded', 'failed', 'skipped')),
  approval_id TEXT NOT NULL,
  detail TEXT NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  CHECK ((status IN ('planned', 'running')) = (ended_at IS NULL))
) STRICT;
CREATE INDEX remedy_attempts_of_one ON remedy_attempts (incident_id);
CREATE INDEX remedy_attempts_by_time ON remedy_attempts (planned_at);

CREATE TABLE incident_episodes (
  seq INTEGER PRIMARY KEY,
  incident_id TEXT NOT NULL REFERENCES incidents (incident_id) ON DELETE CASCADE,
  episode INTEGER NOT NULL,
  severity TEXT NOT NULL,
  condition_since INTEGER NOT NULL,
  opened_at INTEGER NOT NULL,
  version INTEGER NOT NULL,
  acknowledged_at INTEGER,
  resolved_at INTEGER,
  UNIQUE (incident_id, episode)
) STRICT;
CREATE INDEX incident_episodes_by_time ON incident_episodes (opened_at);
"""
