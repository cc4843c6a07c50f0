"""Jobs, as a migration of its own: released text is never edited."""

JOBS = """
CREATE TABLE jobs (
  seq INTEGER PRIMARY KEY,
  job_id TEXT NOT NULL UNIQUE,
  revision INTEGER NOT NULL,
  version INTEGER NOT NULL,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL UNIQUE,
  source TEXT NOT NULL CHECK (source IN ('system', 'config', 'operator')),
  schedule TEXT NOT NULL,
  expression TEXT NOT NULL,
  timezone TEXT NOT NULL,
  action TEXT NOT NULL,
  work TEXT NOT NULL,
  owner TEXT NOT NULL,
  session TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  labels TEXT NOT NULL,
  rules TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('active', 'paused', 'exhausted', 'faulted')),
  why TEXT NOT NULL,
  state_by TEXT NOT NULL,
  state_at INTEGER NOT NULL,
  anchor INTEGER NOT NULL,
  planned_after INTEGER NOT NULL,
  next_slot INTEGER,
  release_at INTEGER,
  last_slot INTEGER,
  zone_rules TEXT NOT NULL,
  fired INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  CHECK (state = 'active' OR next_slot IS NULL)
) STRICT;

CREATE TABLE job_fires (
  seq INTEGER PRIMARY KEY,
  fire_id TEXT NOT NULL UNIQUE,
  revision INTEGER NOT NULL,
  job_id TEXT NOT NULL,
  job_revision INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  trigger TEXT NOT NULL CHECK (trigger IN ('schedule', 'catch_up', 'manual', 'review')),
  slot INTEGER,
  release_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'backoff', 'review', 'completed', 'failed', 'cancelled',
    'skipped', 'denied')),
  reason TEXT NOT NULL,
  by TEXT NOT NULL,
  key TEXT,
  coalesced_count INTEGER NOT NULL,
  covers_through INTEGER,
  spans TEXT NOT NULL,
  held_until INTEGER,
  dispatched_at INTEGER,
  lateness_ms INTEGER,
  retry_at INTEGER,
  attempts INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  work_ids TEXT NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost INTEGER,
  error TEXT NOT NULL,
  detail TEXT NOT NULL,
  changed INTEGER NOT NULL,
  finished_at INTEGER,
  UNIQUE (job_id, slot),
  UNIQUE (job_id, key),
  CHECK ((finished_at IS NULL) = (state IN ('pending', 'running', 'backoff', 'review')))
) STRICT;
CREATE INDEX job_fires_open ON job_fires (job_id) WHERE finished_at IS NULL;
CREATE INDEX job_fires_by_job ON job_fires (job_id, seq);
CREATE INDEX job_fires_by_end ON job_fires (finished_at) WHERE finished_at IS NOT NULL;
CREATE TRIGGER job_fires_come_as_planned BEFORE INSERT ON job_fires
WHEN NEW.job_revision > 0 AND NOT EXISTS (SELECT 1 FROM job_fires WHERE fire_id = NEW.fire_id)
  AND NOT EXISTS (SELECT 1 FROM jobs WHERE job_id = NEW.job_id AND revision = NEW.job_revision AND state = 'active')
BEGIN
  SELECT RAISE(ABORT, 'the job is not as it was when this fire was planned');
END;

CREATE TABLE job_attempts (
  seq INTEGER PRIMARY KEY,
  attempt_id TEXT NOT NULL UNIQUE,
  revision INTEGER NOT NULL,
  fire_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  ended_at INTEGER,
  UNIQUE (fire_id, number)
) STRICT;
"""
