"""The tables, as numbered migrations. A migration that has been released is never edited; the next one is added.

Times are UTC unix ms, money is nano-dollars, NULL means unknown. Columns of lists and objects hold JSON text.
Roll-ups are kept by triggers, so no writer can forget them. `moves` of a hold is an array of
`[policy_id, scope_value, window_start, metric, held, actual, enforced, [[grant_id, amount], …], limit]`,
with the kind of window behind it where that is a rolling one.
"""

from palyra.journal.alert_schema import ALERTS
from palyra.journal.answers_schema import ANSWERS
from palyra.journal.audit_schema import DEEDS
from palyra.journal.circuit_schema import CIRCUITS
from palyra.journal.correction_schema import CORRECTIONS
from palyra.journal.credential_schema import CREDENTIALS
from palyra.journal.delivery_schema import DELIVERIES
from palyra.journal.fold_schema import FOLDS
from palyra.journal.incident_schema import INCIDENTS
from palyra.journal.job_schema import JOBS
from palyra.journal.memory_schema import MEMORY
from palyra.journal.meter_schema import METER
from palyra.journal.observation_schema import OBSERVATIONS
from palyra.journal.readings_schema import READINGS
from palyra.journal.replay_schema import REPLAY_LOG
from palyra.journal.sums_schema import SUMS
from palyra.journal.task_schema import TASKS
from palyra.journal.text_schema import TEXTS
from palyra.journal.traces_schema import TRACES
from palyra.journal.usage_schema import ZOOMS

MIGRATIONS: tuple[tuple[int, str], ...] = (
    (
        1,
        """
CREATE TABLE runs (
  seq INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL UNIQUE,
  boot_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  source TEXT NOT NULL,
  principal TEXT NOT NULL,
  session TEXT NOT NULL,
  key_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  agent TEXT NOT NULL,
  job TEXT NOT NULL,
  tags TEXT NOT NULL,
  task_class TEXT NOT NULL,
  wire TEXT NOT NULL,
  streaming INTEGER NOT NULL,
  model_asked TEXT NOT NULL,
  max_tokens INTEGER,
  input_bytes INTEGER NOT NULL,
  expected_input INTEGER NOT NULL,
  complexity TEXT NOT NULL, -- a float's shortest text: exact both ways, which SQLite's own conversions are not
  digest TEXT NOT NULL,
  state TEXT NOT NULL
    CHECK (state IN ('pending', 'parked', 'running', 'completed', 'failed', 'cancelled', 'refused')),
  phase TEXT NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  accepted_at INTEGER NOT NULL,
  mode TEXT NOT NULL,
  decision_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  approval_id TEXT NOT NULL,
  grant_ids TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  parked_at INTEGER,
  dispatched_at INTEGER,
  first_byte_at INTEGER,
  finished_at INTEGER,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost INTEGER,
  flags TEXT NOT NULL,
  CHECK ((state IN ('completed', 'failed', 'cancelled', 'refused')) = (finished_at IS NOT NULL))
) STRICT;
CREATE INDEX runs_by_time ON runs (accepted_at);
CREATE INDEX runs_by_end ON runs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX runs_by_principal ON runs (principal, accepted_at);
CREATE INDEX runs_by_session ON runs (session, accepted_at);
CREATE INDEX runs_by_job ON runs (job, accepted_at) WHERE job <> '';
CREATE INDEX runs_by_state ON runs (state, accepted_at) WHERE state <> 'completed';

CREATE TABLE run_notes (
  seq INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  data TEXT NOT NULL
) STRICT;
CREATE INDEX run_notes_by_run ON run_notes (run_id);

CREATE TABLE decisions (
  seq INTEGER PRIMARY KEY,
  decision_id TEXT NOT NULL UNIQUE,
  run_id TEXT REFERENCES runs (run_id),
  at INTEGER NOT NULL,
  mode TEXT NOT NULL,
  outcome TEXT NOT NULL,
  action TEXT NOT NULL,
  reason_codes TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX decisions_by_run ON decisions (run_id);

CREATE TABLE holds (
  seq INTEGER PRIMARY KEY,
  hold_id TEXT NOT NULL UNIQUE,
  run_id TEXT NOT NULL REFERENCES runs (run_id),
  attempt INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  principal TEXT NOT NULL,
  session TEXT NOT NULL,
  key_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  agent TEXT NOT NULL,
  job TEXT NOT NULL,
  tags TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  bound_usd INTEGER,
  bound_tokens INTEGER NOT NULL,
  expected_input INTEGER NOT NULL,
  expected_usd INTEGER,
  price_state TEXT NOT NULL,
  card TEXT,
  moves TEXT NOT NULL,
  mode TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('held', 'settled', 'released', 'expired')),
  terminal_at INTEGER,
  actual_usd INTEGER,
  actual_tokens INTEGER,
  requests INTEGER NOT NULL,
  usage_source TEXT NOT NULL,
  overrun INTEGER NOT NULL,
  recovered INTEGER NOT NULL,
  metered_input INTEGER,
  metered_output INTEGER,
  metered_usd INTEGER,
  CHECK ((state = 'held') = (terminal_at IS NULL))
) STRICT;
CREATE INDEX holds_by_run ON holds (run_id);
CREATE INDEX holds_by_time ON holds (created_at);
CREATE INDEX holds_open ON holds (boot_id) WHERE state = 'held';

CREATE TABLE usage (
  seq INTEGER PRIMARY KEY,
  hold_id TEXT UNIQUE REFERENCES holds (hold_id),
  run_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  at INTEGER NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  principal TEXT NOT NULL,
  session TEXT NOT NULL,
  key_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  agent TEXT NOT NULL,
  job TEXT NOT NULL,
  tags TEXT NOT NULL,
  input_total INTEGER NOT NULL,
  cache_read INTEGER NOT NULL,
  write_5m INTEGER NOT NULL,
  write_1h INTEGER NOT NULL,
  output_total INTEGER NOT NULL,
  reasoning INTEGER NOT NULL,
  audio_in INTEGER NOT NULL,
  audio_out INTEGER NOT NULL,
  tool_uses INTEGER NOT NULL,
  metered_input INTEGER NOT NULL,
  metered_output INTEGER NOT NULL,
  usage_source TEXT NOT NULL,
  flags TEXT NOT NULL,
  price_state TEXT NOT NULL,
  rates TEXT NOT NULL,
  charge INTEGER,
  reported_cost INTEGER,
  raw TEXT,
  latency_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_by_time ON usage (at);
CREATE INDEX usage_by_run ON usage (run_id);
CREATE INDEX usage_by_model ON usage (provider, model);
CREATE TRIGGER usage_is_final BEFORE UPDATE ON usage BEGIN
  SELECT RAISE(ABORT, 'usage rows are never changed');
END;

CREATE TABLE usage_hours (
  hour INTEGER NOT NULL, -- start of the UTC hour
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  runs INTEGER NOT NULL DEFAULT 0,
  ok INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  refused INTEGER NOT NULL DEFAULT 0,
  input_tokens INTEGER NOT NULL DEFAULT 0,
  output_tokens INTEGER NOT NULL DEFAULT 0,
  cached_tokens INTEGER NOT NULL DEFAULT 0,
  reasoning_tokens INTEGER NOT NULL DEFAULT 0,
  cost INTEGER NOT NULL DEFAULT 0,
  unpriced INTEGER NOT NULL DEFAULT 0,
  latency_ms INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (hour, provider, model)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage_days (
  day INTEGER NOT NULL, -- start of the UTC day
  principal TEXT NOT NULL,
  model TEXT NOT NULL,
  runs INTEGER NOT NULL DEFAULT 0,
  ok INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  refused INTEGER NOT NULL DEFAULT 0,
  input_tokens INTEGER NOT NULL DEFAULT 0,
  output_tokens INTEGER NOT NULL DEFAULT 0,
  cached_tokens INTEGER NOT NULL DEFAULT 0,
  reasoning_tokens INTEGER NOT NULL DEFAULT 0,
  cost INTEGER NOT NULL DEFAULT 0,
  unpriced INTEGER NOT NULL DEFAULT 0,
  latency_ms INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (day, principal, model)
) STRICT, WITHOUT ROWID;
CREATE TABLE principal_days (
  day INTEGER NOT NULL,
  principal TEXT NOT NULL,
  runs INTEGER NOT NULL DEFAULT 0,
  ok INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  refused INTEGER NOT NULL DEFAULT 0,
  input_tokens INTEGER NOT NULL DEFAULT 0,
  output_tokens INTEGER NOT NULL DEFAULT 0,
  cached_tokens INTEGER NOT NULL DEFAULT 0,
  reasoning_tokens INTEGER NOT NULL DEFAULT 0,
  cost INTEGER NOT NULL DEFAULT 0,
  unpriced INTEGER NOT NULL DEFAULT 0,
  latency_ms INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (day, principal)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER usage_rolled_up AFTER INSERT ON usage BEGIN
  INSERT INTO usage_hours (hour, provider, model, input_tokens, output_tokens, cached_tokens, reasoning_tokens,
    cost, unpriced, attempts, latency_ms)
  VALUES (NEW.at - NEW.at % 3600000, NEW.provider, NEW.model, NEW.input_total, NEW.output_total, NEW.cache_read,
    NEW.reasoning, ifnull(NEW.charge, 0), NEW.charge IS NULL, 1, NEW.latency_ms)
  ON CONFLICT (hour, provider, model) DO UPDATE SET
    input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
    cached_tokens = cached_tokens + excluded.cached_tokens,
    reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
    cost = cost + excluded.cost, unpriced = unpriced + excluded.unpriced, attempts = attempts + 1,
    latency_ms = latency_ms + excluded.latency_ms;
  INSERT INTO usage_days (day, principal, model, input_tokens, output_tokens, cached_tokens, reasoning_tokens,
    cost, unpriced, attempts, latency_ms)
  VALUES (NEW.at - NEW.at % 86400000, NEW.principal, NEW.model, NEW.input_total, NEW.output_total, NEW.cache_read,
    NEW.reasoning, ifnull(NEW.charge, 0), NEW.charge IS NULL, 1, NEW.latency_ms)
  ON CONFLICT (day, principal, model) DO UPDATE SET
    input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
    cached_tokens = cached_tokens + excluded.cached_tokens,
    reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
    cost = cost + excluded.cost, unpriced = unpriced + excluded.unpriced, attempts = attempts + 1,
    latency_ms = latency_ms + excluded.latency_ms;
  INSERT INTO principal_days (day, principal, input_tokens, output_tokens, cached_tokens, reasoning_tokens,
    cost, unpriced, attempts, latency_ms)
  VALUES (NEW.at - NEW.at % 86400000, NEW.principal, NEW.input_total, NEW.output_total, NEW.cache_read,
    NEW.reasoning, ifnull(NEW.charge, 0), NEW.charge IS NULL, 1, NEW.latency_ms)
  ON CONFLICT (day, principal) DO UPDATE SET
    input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
    cached_tokens = cached_tokens + excluded.cached_tokens,
    reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
    cost = cost + excluded.cost, unpriced = unpriced + excluded.unpriced, attempts = attempts + 1,
    latency_ms = latency_ms + excluded.latency_ms;
END;

-- A run counts once, in the hour it ended, whether it was born terminal or became so. The view is written to by
-- both triggers below and holds nothing.
CREATE VIEW ended_runs AS
  SELECT finished_at, provider, model, principal, state FROM runs WHERE finished_at IS NOT NULL;
CREATE TRIGGER ended_run_rolled_up INSTEAD OF INSERT ON ended_runs BEGIN
  INSERT INTO usage_hours (hour, provider, model, runs, ok, failed, refused)
  VALUES (NEW.finished_at - NEW.finished_at % 3600000, NEW.provider, NEW.model, 1, NEW.state = 'completed',
    NEW.state = 'failed', NEW.state = 'refused')
  ON CONFLICT (hour, provider, model) DO UPDATE SET
    runs = runs + 1, ok = ok + excluded.ok, failed = failed + excluded.failed, refused = refused + excluded.refused;
  INSERT INTO usage_days (day, principal, model, runs, ok, failed, refused)
  VALUES (NEW.finished_at - NEW.finished_at % 86400000, NEW.principal, NEW.model, 1, NEW.state = 'completed',
    NEW.state = 'failed', NEW.state = 'refused')
  ON CONFLICT (day, principal, model) DO UPDATE SET
    runs = runs + 1, ok = ok + excluded.ok, failed = failed + excluded.failed, refused = refused + excluded.refused;
  INSERT INTO principal_days (day, principal, runs, ok, failed, refused)
  VALUES (NEW.finished_at - NEW.finished_at % 86400000, NEW.principal, 1, NEW.state = 'completed',
    NEW.state = 'failed', NEW.state = 'refused')
  ON CONFLICT (day, principal) DO UPDATE SET
    runs = runs + 1, ok = ok + excluded.ok, failed = failed + excluded.failed, refused = refused + excluded.refused;
END;
CREATE TRIGGER run_born_terminal AFTER INSERT ON runs WHEN NEW.finished_at IS NOT NULL BEGIN
  INSERT INTO ended_runs (finished_at, provider, model, principal, state)
  VALUES (NEW.finished_at, NEW.provider, NEW.model, NEW.principal, NEW.state);
END;
CREATE TRIGGER run_became_terminal AFTER UPDATE ON runs
WHEN OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL BEGIN
  INSERT INTO ended_runs (finished_at, provider, model, principal, state)
  VALUES (NEW.finished_at, NEW.provider, NEW.model, NEW.principal, NEW.state);
END;

CREATE TABLE approvals (
  seq INTEGER PRIMARY KEY,
  approval_id TEXT NOT NULL UNIQUE,
  version INTEGER NOT NULL,
  principal TEXT NOT NULL,
  session TEXT NOT NULL,
  policy_ids TEXT NOT NULL,
  requested_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  status TEXT NOT NULL,
  decision TEXT NOT NULL,
  resolved_at INTEGER,
  decided_by TEXT NOT NULL,
  reason TEXT NOT NULL,
  risk TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX approvals_by_status ON approvals (status, requested_at);
CREATE INDEX approvals_by_principal ON approvals (principal, requested_at);

CREATE TABLE grants (
  seq INTEGER PRIMARY KEY,
  grant_id TEXT NOT NULL UNIQUE,
  version INTEGER NOT NULL,
  approval_id TEXT REFERENCES approvals (approval_id),
  kind TEXT NOT NULL,
  policy_id TEXT NOT NULL,
  scope_value TEXT NOT NULL,
  principal TEXT NOT NULL,
  session TEXT NOT NULL,
  cap INTEGER NOT NULL,
  metric TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  window_start INTEGER,
  state TEXT NOT NULL,
  run_ids TEXT NOT NULL,
  granted_by TEXT NOT NULL,
  uses INTEGER NOT NULL
) STRICT;
CREATE INDEX grants_by_state ON grants (state);
CREATE INDEX grants_by_approval ON grants (approval_id);

CREATE TABLE policies (
  policy_id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  removed INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  updated_by TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (policy_id, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  actor TEXT NOT NULL,
  payload TEXT NOT NULL,
  digest TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_grows_at_its_end BEFORE INSERT ON audit
WHEN NEW.seq IS NOT (SELECT ifnull(max(seq), 0) + 1 FROM audit) BEGIN
  SELECT RAISE(ABORT, 'the audit chain only grows at its end');
END;
CREATE TRIGGER audit_is_never_edited BEFORE UPDATE ON audit BEGIN
  SELECT RAISE(ABORT, 'audit rows are never changed');
END;
CREATE TRIGGER audit_is_never_shortened BEFORE DELETE ON audit BEGIN
  SELECT RAISE(ABORT, 'audit rows are never deleted');
END;
""",
    ),
    (2, METER),
    (3, ZOOMS),
    (4, REPLAY_LOG),
    (5, ALERTS),
    (6, READINGS),
    (7, CREDENTIALS),
    (8, SUMS),
    (9, ANSWERS),
    (10, DELIVERIES),
    (11, INCIDENTS),
    (12, TASKS),
    (13, JOBS),
    (14, MEMORY),
    (15, CORRECTIONS),
    (16, CIRCUITS),
    (17, OBSERVATIONS),
    (18, DEEDS),
    (19, FOLDS),
    (20, TRACES),
    (21, TEXTS),
)

LATEST = MIGRATIONS[-1][0]
