"""Running sums for every zoom, as a migration of its own: released text is never edited.

An entry of `usage_sums` holds all that its key used from the beginning to the end of a quarter of an hour, so that any
period of any zone is the difference of two entries, however long it is; quarters in which nothing happened have none.
`kind` is what a key is: a model (with its provider), a provider, a user, an agent, a gateway key, a tag as
`name=value`, or '' for everything together. What comes late, because a clock was set back, is added to every later
entry too: an entry always is what the rows before its end come to.
"""

_QUARTER = 900_000
_DAY = 86_400_000
_OF_RUNS = {
    "runs": "1",
    "ok": "({0}state = 'completed')",
    "failed": "({0}state = 'failed')",
    "refused": "({0}state = 'refused')",
}
_OF_USAGE = {
    "input_tokens": "{0}input_total",
    "output_tokens": "{0}output_total",
    "cached_tokens": "{0}cache_read",
    "reasoning_tokens": "{0}reasoning",
    "cost": "ifnull({0}charge, 0)",
    "unpriced": "({0}charge IS NULL)",
    "latency_ms": "{0}latency_ms",
    "attempts": "({0}corrects IS NULL)",
}
_METRICS = (*_OF_RUNS, *_OF_USAGE)
_NAMES = ", ".join(_METRICS)
_ENTRY = f"INSERT INTO usage_sums (kind, name, provider, start, {_NAMES})"
_KEYS = (
    ("", "''", "''"),
    ("model", "NEW.model", "NEW.provider"),
    ("provider", "NEW.provider", "''"),
    ("user", "NEW.principal", "''"),
    ("agent", "NEW.agent", "''"),
    ("key", "NEW.key_id", "''"),
)
_TAGS = "SELECT DISTINCT 'tag' AS kind, key || '=' || value AS name, '' AS provider FROM json_each(NEW.tags)"


def _triggers(table: str, when: str, at: str, facts: dict[str, str]) -> str:
    """What adds a row of `table` to the entries of its quarter, to later ones if there are any, and to its day."""
    quarter = f"NEW.{at} - NEW.{at} % {_QUARTER}"
    new = {name: fact.format("NEW.") for name, fact in facts.items()}
    names, numbers = ", ".join(new), ", ".join(new.values())
    add = ", ".join(f"{name} = {name} + excluded.{name}" for name in new)
    on_conflict = f"ON CONFLICT (kind, name, provider, start) DO UPDATE SET {add};"
    metrics = ", ".join(new.get(name, "0") for name in _METRICS)
    # One entry at a time: what is inserted out of a query into a table with a trigger is copied first.
    entries = "".join(
        f"{_ENTRY} VALUES ('{kind}', {name}, {provider}, {quarter}, {metrics}) {on_conflict}\n  "
        for kind, name, provider in _KEYS
    )
    keys = " UNION ALL ".join(f"SELECT '{kind}', {name}, {provider}" for kind, name, provider in _KEYS)
    return f"""
CREATE TRIGGER {table}_summed {when} INSERT ON {table} BEGIN
  {entries}{_ENTRY} SELECT kind, name, provider, {quarter}, {metrics} FROM ({_TAGS}) WHERE true {on_conflict}
  INSERT INTO usage_days (day, principal, model, {names})
  VALUES (NEW.{at} - NEW.{at} % {_DAY}, NEW.principal, NEW.model, {numbers})
  ON CONFLICT (day, principal, model) DO UPDATE SET {add};
END;
CREATE TRIGGER {table}_summed_late {when} INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM usage_sums WHERE kind = '' AND name = '' AND provider = '' AND start > {quarter}) BEGIN
  UPDATE usage_sums SET {", ".join(f"{name} = {name} + {number}" for name, number in new.items())}
  WHERE (kind, name, provider) IN ({keys} UNION ALL {_TAGS}) AND start > {quarter};
END;"""


def _filled(kind: str, name: str, source: str = "") -> str:
    """What the rows of a day came to, a kind of key at a time; each day builds on the entries of the one before."""
    parts = " UNION ALL ".join(
        f"SELECT {name} AS name, {at} - {at} % {_QUARTER} AS quarter, "
        + ", ".join(f"{facts.get(metric, '0').format('')} AS {metric}" for metric in _METRICS)
        + f" FROM {table}{source} WHERE {at} >= NEW.day AND {at} < NEW.day + {_DAY}"
        for table, at, facts in (("runs", "finished_at", _OF_RUNS), ("usage", "at", _OF_USAGE))
    )
    sums = ", ".join(f"sum({metric})" for metric in _METRICS)
    return f"{_ENTRY} SELECT '{kind}', name, '', quarter, {sums} FROM ({parts}) GROUP BY name, quarter ORDER BY 2, 4;"


def _moved(kind: str, name: str, provider: str) -> str:
    """The same for what was summed by quarters already."""
    sums = ", ".join(f"sum({metric})" for metric in _METRICS)
    return (
        f"{_ENTRY} SELECT '{kind}', {name}, {provider}, start, {sums} FROM model_usage WHERE step = {_QUARTER}"
        " GROUP BY 2, 3, 4 ORDER BY 2, 3, 4;"
    )


SUMS = f"""
CREATE TABLE usage_sums (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  provider TEXT NOT NULL,
  start INTEGER NOT NULL, -- of the quarter at whose end this was so
  {", ".join(f"{name} INTEGER NOT NULL" for name in _METRICS)},
  PRIMARY KEY (kind, name, provider, start)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER sums_go_on AFTER INSERT ON usage_sums
WHEN EXISTS (SELECT 1 FROM usage_sums
  WHERE kind = NEW.kind AND name = NEW.name AND provider = NEW.provider AND start < NEW.start) BEGIN
  UPDATE usage_sums SET ({_NAMES}) = (
    SELECT {", ".join(f"{name} + NEW.{name}" for name in _METRICS)} FROM usage_sums AS before
    WHERE kind = NEW.kind AND name = NEW.name AND provider = NEW.provider AND start < NEW.start
    ORDER BY start DESC LIMIT 1)
  WHERE kind = NEW.kind AND name = NEW.name AND provider = NEW.provider AND start = NEW.start;
END;

{_moved("", "''", "''")}
{_moved("model", "model", "provider")}
{_moved("provider", "provider", "''")}
CREATE TEMP TABLE days_to_sum (day INTEGER);
CREATE TEMP TRIGGER day_summed AFTER INSERT ON days_to_sum BEGIN
  {_filled("user", "principal")}
  {_filled("agent", "agent")}
  {_filled("key", "key_id")}
  {_filled("tag", "tag.key || '=' || tag.value", ", json_each(tags) AS tag")}
END;
INSERT INTO days_to_sum SELECT DISTINCT start FROM model_usage WHERE step = {_DAY} ORDER BY start;
DROP TABLE days_to_sum;

DROP TRIGGER usage_rolled_up;
DROP TRIGGER run_born_terminal;
DROP TRIGGER run_became_terminal;
DROP VIEW ended_runs;
DROP TABLE model_usage;
DROP TABLE principal_usage;
CREATE VIEW ended_runs AS
  SELECT finished_at, provider, model, principal, agent, key_id, tags, state FROM runs WHERE finished_at IS NOT NULL;
{_triggers("ended_runs", "INSTEAD OF", "finished_at", _OF_RUNS)}
{_triggers("usage", "AFTER", "at", _OF_USAGE)}
CREATE TRIGGER run_born_terminal AFTER INSERT ON runs WHEN NEW.finished_at IS NOT NULL BEGIN
  INSERT INTO ended_runs VALUES (NEW.finished_at, NEW.provider, NEW.model, NEW.principal, NEW.agent, NEW.key_id,
    NEW.tags, NEW.state);
END;
CREATE TRIGGER run_became_terminal AFTER UPDATE ON runs
WHEN OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL BEGIN
  INSERT INTO ended_runs VALUES (NEW.finished_at, NEW.provider, NEW.model, NEW.principal, NEW.agent, NEW.key_id,
    NEW.tags, NEW.state);
END;
"""
