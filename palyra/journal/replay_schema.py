"""The tables that requests are decided again from: what each plan was made of, and all that moved a counter, in order.

`replay_log` has one row per event in the order in which memory moved. `ref` is the `seq` of the run, of a grant's row
the `seq` of the grant. What the columns hold, by `kind`:

- 0, a plan: `scope` and `shape` are names; `usd` and `tokens` what the model chosen first asks for (NULL: nobody knows
  its price); `outcome` what was decided, packed; the numbers of all models are its body.
- 1, a slice: what it added to the bound.
- 2, the end of a hold: what was charged; `outcome` is the number of requests, `scope` the largest flat charge of a
  budget for a price nobody knew.
- 3, a grant given or ended; its body is the state.
- 4, the terms in force from here on, as its body.
- 5, a slice that a budget refused, of so many `tokens`.

`replay_names` are texts that come again, by a hash of them.
"""

REPLAY_LOG = """
CREATE TABLE replay_log (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  ref INTEGER NOT NULL,
  scope INTEGER,
  shape INTEGER,
  usd INTEGER,
  tokens INTEGER,
  outcome INTEGER
) STRICT;
CREATE TABLE replay_bodies (
  seq INTEGER PRIMARY KEY REFERENCES replay_log (seq) ON DELETE CASCADE,
  body TEXT NOT NULL
) STRICT;
CREATE TABLE replay_names (
  id INTEGER PRIMARY KEY,
  body TEXT NOT NULL
) STRICT;

-- Grants that live already serve requests that come.
INSERT INTO replay_log (at, kind, ref) SELECT created_at, 3, seq FROM grants WHERE state = 'active' ORDER BY seq;
INSERT INTO replay_bodies (seq, body) SELECT seq, 'active' FROM replay_log;

CREATE TRIGGER hold_end_logged AFTER UPDATE OF state ON holds WHEN OLD.state = 'held' AND NEW.state <> 'held' BEGIN
  INSERT INTO replay_log (at, kind, ref, scope, usd, tokens, outcome)
  SELECT NEW.terminal_at, 2, runs.seq,
    CASE WHEN NEW.actual_usd IS NULL THEN (
      SELECT max(move.value ->> 5) FROM json_each(NEW.moves) AS move WHERE move.value ->> 3 = 'estimated_cost_usd'
    ) END,
    NEW.actual_usd, NEW.actual_tokens, NEW.requests
  FROM runs WHERE run_id = NEW.run_id;
END;
CREATE TRIGGER grant_given_logged AFTER INSERT ON grants BEGIN
  INSERT INTO replay_log (at, kind, ref) VALUES (NEW.created_at, 3, NEW.seq);
  INSERT INTO replay_bodies (seq, body) SELECT max(seq), NEW.state FROM replay_log;
END;
CREATE TRIGGER grant_ended_logged AFTER UPDATE OF state ON grants WHEN OLD.state <> NEW.state BEGIN
  INSERT INTO replay_log (at, kind, ref) VALUES (NEW.created_at, 3, NEW.seq);
  INSERT INTO replay_bodies (seq, body) SELECT max(seq), NEW.state FROM replay_log;
END;
CREATE TRIGGER refused_slice_logged AFTER INSERT ON run_notes WHEN NEW.kind = 'slice_refused' BEGIN
  INSERT INTO replay_log (at, kind, ref, tokens)
  SELECT NEW.at, 5, seq, NEW.data ->> 'tokens' FROM runs WHERE run_id = NEW.run_id;
END;
"""
