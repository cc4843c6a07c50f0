"""Notifications on their way, what people were told, who reports from elsewhere: a migration, which is never edited."""

DELIVERIES = """
CREATE TABLE deliveries (
  delivery_id TEXT NOT NULL PRIMARY KEY,
  version INTEGER NOT NULL,
  webhook TEXT NOT NULL,
  event TEXT NOT NULL,
  severity TEXT NOT NULL,
  subject TEXT NOT NULL,
  summary TEXT NOT NULL,
  at INTEGER NOT NULL,
  facts TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'dead')),
  tries INTEGER NOT NULL,
  next_at INTEGER NOT NULL,
  status INTEGER,
  error TEXT NOT NULL,
  ended_at INTEGER,
  CHECK ((state = 'dead') = (ended_at IS NOT NULL))
) STRICT;
CREATE TABLE webhooks (
  name TEXT NOT NULL PRIMARY KEY,
  version INTEGER NOT NULL,
  delivered INTEGER NOT NULL,
  died INTEGER NOT NULL,
  dropped INTEGER NOT NULL,
  delivered_at INTEGER,
  failed_at INTEGER,
  error TEXT NOT NULL
) STRICT;
CREATE TABLE told (
  subject TEXT NOT NULL PRIMARY KEY,
  version INTEGER NOT NULL,
  event TEXT NOT NULL,
  severity TEXT NOT NULL,
  flapping INTEGER NOT NULL,
  open INTEGER NOT NULL,
  at INTEGER NOT NULL,
  reopened_at INTEGER,
  resolved_at INTEGER
) STRICT;
CREATE TABLE reporters (
  principal TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  summary TEXT NOT NULL,
  failing INTEGER NOT NULL,
  interval_ms INTEGER,
  grace_ms INTEGER NOT NULL,
  stall_ms INTEGER,
  progress INTEGER,
  at INTEGER NOT NULL,
  PRIMARY KEY (principal, name)
) STRICT;
"""
