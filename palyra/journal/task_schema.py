"""Tasks and owners of runs, as a migration of its own: released text is never edited."""

TASKS = """
CREATE TABLE tasks (
  seq INTEGER PRIMARY KEY,
  task_id TEXT NOT NULL UNIQUE,
  version INTEGER NOT NULL,
  kind TEXT NOT NULL,
  source TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN
    ('queued', 'running', 'paused', 'cancel_requested', 'completed', 'failed', 'cancelled', 'expired')),
  owner TEXT NOT NULL,
  session TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  dedupe_key TEXT NOT NULL,
  job TEXT NOT NULL,
  labels TEXT NOT NULL,
  fire_id TEXT NOT NULL,
  parent_run_id TEXT NOT NULL,
  parent_task_id TEXT NOT NULL,
  marks TEXT NOT NULL,
  model TEXT NOT NULL,
  token_budget INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  not_before INTEGER NOT NULL,
  waits TEXT NOT NULL,
  expires_at INTEGER,
  timeout_ms INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  max_attempts INTEGER NOT NULL,
  backoff_ms INTEGER NOT NULL,
  interruptions INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  worker_id TEXT NOT NULL,
  fence INTEGER NOT NULL,
  lease_until INTEGER,
  target_run_id TEXT NOT NULL,
  tokens INTEGER NOT NULL,
  reason TEXT NOT NULL,
  error TEXT NOT NULL,
  decision_id TEXT NOT NULL,
  started_at INTEGER,
  finished_at INTEGER,
  CHECK ((state IN ('completed', 'failed', 'cancelled', 'expired')) = (finished_at IS NOT NULL)),
  CHECK ((state IN ('running', 'cancel_requested')) = (lease_until IS NOT NULL))
) STRICT;
CREATE INDEX tasks_open ON tasks (created_at) WHERE finished_at IS NULL;
CREATE INDEX tasks_in_order ON tasks ((finished_at IS NULL), created_at);
CREATE INDEX tasks_by_end ON tasks (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX tasks_of_run ON tasks (parent_run_id) WHERE parent_run_id <> '';
CREATE INDEX tasks_of_task ON tasks (parent_task_id) WHERE parent_task_id <> '';
CREATE UNIQUE INDEX tasks_once ON tasks (owner, dedupe_key) WHERE dedupe_key <> '' AND finished_at IS NULL;
CREATE TRIGGER tasks_write_under_the_newest_fence BEFORE UPDATE ON tasks WHEN NEW.fence < OLD.fence BEGIN
  SELECT RAISE(ABORT, 'a task is written under its newest fence alone');
END;

CREATE TABLE task_inputs (
  seq INTEGER PRIMARY KEY,
  task_id TEXT NOT NULL UNIQUE REFERENCES tasks (task_id) ON DELETE CASCADE,
  text TEXT NOT NULL,
  payload TEXT NOT NULL
) STRICT;

CREATE TABLE task_results (
  seq INTEGER PRIMARY KEY,
  task_id TEXT NOT NULL UNIQUE REFERENCES tasks (task_id) ON DELETE CASCADE,
  run_id TEXT NOT NULL,
  text TEXT NOT NULL,
  cut INTEGER NOT NULL
) STRICT;

CREATE TABLE run_owners (
  seq INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL UNIQUE,
  source TEXT NOT NULL,
  fire_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  parent_run_id TEXT NOT NULL,
  attempt INTEGER NOT NULL
) STRICT;
CREATE INDEX run_owners_by_fire ON run_owners (fire_id) WHERE fire_id <> '';
CREATE INDEX run_owners_by_task ON run_owners (task_id) WHERE task_id <> '';
CREATE INDEX run_owners_by_parent ON run_owners (parent_run_id) WHERE parent_run_id <> '';
"""
