"""Roll-ups for every zoom, as a migration of its own: released text is never edited.

What one model or one person used is summed in steps of several lengths at once, so that a local day in any zone is a
handful of entries and not its hours times the models. `step` is the length in ms, `start` a whole multiple of it since
1970. Quarters of an hour are there because no clock of today stands off them; months of 32 days because a year of days
times everybody is long.
"""

_SUMS = """
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
"""
_OF_USAGE = "input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost, unpriced, latency_ms, attempts"
NEW_USAGE = (
    "NEW.input_total, NEW.output_total, NEW.cache_read, NEW.reasoning, ifnull(NEW.charge, 0), NEW.charge IS NULL,"
    " NEW.latency_ms, 1"
)
ADD_USAGE = """
    input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
    cached_tokens = cached_tokens + excluded.cached_tokens,
    reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens, cost = cost + excluded.cost,
    unpriced = unpriced + excluded.unpriced, latency_ms = latency_ms + excluded.latency_ms, attempts = attempts + 1
"""
_OF_RUNS = "runs, ok, failed, refused"
_NEW_RUN = "1, NEW.state = 'completed', NEW.state = 'failed', NEW.state = 'refused'"
_ADD_RUN = (
    "runs = runs + 1, ok = ok + excluded.ok, failed = failed + excluded.failed, refused = refused + excluded.refused"
)
_MODEL_STEPS = "(VALUES (900000), (3600000), (21600000), (86400000))"
_PRINCIPAL_STEPS = "(VALUES (3600000), (21600000), (86400000), (2764800000))"
_REASON_STEPS = "(VALUES (3600000), (86400000))"
_DAY = "86400000"


def _backfill(table: str, steps: str, keys: str) -> str:
    """Sums what is there already; the longer steps from the rows too, which a migration has time for."""
    return f"""
INSERT INTO {table} (step, start, {keys}, {_OF_RUNS}, {_OF_USAGE})
SELECT length, at - at % length, {keys}, sum(a), sum(b), sum(c), sum(d), sum(e), sum(f), sum(g), sum(h), sum(i), sum(j),
  sum(k), sum(l)
FROM (SELECT column1 AS length FROM {steps}) CROSS JOIN (
  SELECT finished_at AS at, {keys}, 1 AS a, state = 'completed' AS b, state = 'failed' AS c, state = 'refused' AS d,
    0 AS e, 0 AS f, 0 AS g, 0 AS h, 0 AS i, 0 AS j, 0 AS k, 0 AS l
  FROM runs WHERE finished_at IS NOT NULL
  UNION ALL
  SELECT at, {keys}, 0, 0, 0, 0, input_total, output_total, cache_read, reasoning, ifnull(charge, 0), charge IS NULL,
    latency_ms, 1
  FROM usage
)
GROUP BY length, at - at % length, {keys};
"""


def _steps(table: str, steps: str, at: str, keys: str, what: str, new: str, add: str) -> str:
    new_keys = ", ".join(f"NEW.{key}" for key in keys.split(", "))
    return f"""
  INSERT INTO {table} (step, start, {keys}, {what})
  SELECT column1, NEW.{at} - NEW.{at} % column1, {new_keys}, {new} FROM {steps} WHERE true
  ON CONFLICT (step, start, {keys}) DO UPDATE SET {add};"""


def _days(at: str, what: str, new: str, add: str) -> str:
    return f"""
  INSERT INTO usage_days (day, principal, model, {what})
  VALUES (NEW.{at} - NEW.{at} % {_DAY}, NEW.principal, NEW.model, {new})
  ON CONFLICT (day, principal, model) DO UPDATE SET {add};"""


def usage_rolled_up(new: str, add: str) -> str:
    """The trigger that adds a row of usage to every roll-up: `new` are its numbers, `add` how they are added."""
    return f"""CREATE TRIGGER usage_rolled_up AFTER INSERT ON usage BEGIN
{_steps("model_usage", _MODEL_STEPS, "at", "provider, model", _OF_USAGE, new, add)}
{_steps("principal_usage", _PRINCIPAL_STEPS, "at", "principal", _OF_USAGE, new, add)}
{_days("at", _OF_USAGE, new, add)}
END;"""


ZOOMS = f"""
CREATE TABLE model_usage (
  step INTEGER NOT NULL,
  start INTEGER NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
{_SUMS}  PRIMARY KEY (step, start, provider, model)
) STRICT, WITHOUT ROWID;
CREATE TABLE principal_usage (
  step INTEGER NOT NULL,
  start INTEGER NOT NULL,
  principal TEXT NOT NULL,
{_SUMS}  PRIMARY KEY (step, start, principal)
) STRICT, WITHOUT ROWID;
{_backfill("model_usage", _MODEL_STEPS, "provider, model")}
{_backfill("principal_usage", _PRINCIPAL_STEPS, "principal")}
DROP TRIGGER usage_rolled_up;
DROP TRIGGER ended_run_rolled_up;
DROP TABLE usage_hours;
DROP TABLE principal_days;
{usage_rolled_up(NEW_USAGE, ADD_USAGE)}
CREATE TRIGGER ended_run_rolled_up INSTEAD OF INSERT ON ended_runs BEGIN
{_steps("model_usage", _MODEL_STEPS, "finished_at", "provider, model", _OF_RUNS, _NEW_RUN, _ADD_RUN)}
{_steps("principal_usage", _PRINCIPAL_STEPS, "finished_at", "principal", _OF_RUNS, _NEW_RUN, _ADD_RUN)}
{_days("finished_at", _OF_RUNS, _NEW_RUN, _ADD_RUN)}
END;

CREATE TABLE decision_reasons (
  step INTEGER NOT NULL,
  start INTEGER NOT NULL,
  reason TEXT NOT NULL,
  decisions INTEGER NOT NULL,
  PRIMARY KEY (step, start, reason)
) STRICT, WITHOUT ROWID;
INSERT INTO decision_reasons (step, start, reason, decisions)
SELECT length, at - at % length, code.value, count(*)
FROM (SELECT column1 AS length FROM {_REASON_STEPS}) CROSS JOIN decisions, json_each(reason_codes) AS code
GROUP BY length, at - at % length, code.value;
CREATE TRIGGER decision_counted AFTER INSERT ON decisions BEGIN
  INSERT INTO decision_reasons (step, start, reason, decisions)
  SELECT column1, NEW.at - NEW.at % column1, code.value, 1
  FROM {_REASON_STEPS} CROSS JOIN json_each(NEW.reason_codes) AS code WHERE true
  ON CONFLICT (step, start, reason) DO UPDATE SET decisions = decisions + 1;
END;
CREATE INDEX decisions_by_time ON decisions (at);

CREATE INDEX usage_by_session ON usage (session, at);
CREATE INDEX usage_by_principal ON usage (principal, at);
CREATE INDEX usage_by_agent ON usage (agent, at) WHERE agent <> '';
CREATE INDEX usage_by_job ON usage (job, at) WHERE job <> '';
CREATE INDEX runs_of_session_by_end ON runs (session, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX runs_of_principal_by_end ON runs (principal, finished_at) WHERE finished_at IS NOT NULL;
"""
