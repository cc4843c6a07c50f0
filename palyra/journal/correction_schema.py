"""Corrections of what attempts were charged, as events of a replay: kind 6, whose body is the hold's id.

`at` is when the hold was taken, which says what it counts in; `usd` and `tokens` are what is added to its charge.
"""

CORRECTIONS = """
INSERT INTO replay_log (at, kind, ref, usd, tokens)
SELECT holds.created_at, 6, runs.seq, sum(usage.charge), sum(usage.input_total + usage.output_total)
FROM usage JOIN holds ON holds.hold_id = usage.corrects JOIN runs ON runs.run_id = holds.run_id
WHERE usage.corrects IS NOT NULL GROUP BY holds.hold_id ORDER BY holds.seq;
INSERT INTO replay_bodies (seq, body)
SELECT log.seq, min(holds.hold_id)
FROM replay_log AS log JOIN runs ON runs.seq = log.ref
  JOIN holds ON holds.run_id = runs.run_id AND holds.created_at = log.at
WHERE log.kind = 6 GROUP BY log.seq;

CREATE INDEX replay_corrections ON replay_log (ref) WHERE kind = 6;

CREATE TRIGGER correction_logged AFTER UPDATE OF actual_usd, actual_tokens ON holds
WHEN OLD.state IN ('settled', 'expired') AND NEW.state = OLD.state
  AND (NEW.actual_usd IS NOT OLD.actual_usd OR NEW.actual_tokens IS NOT OLD.actual_tokens) BEGIN
  INSERT INTO replay_log (at, kind, ref, usd, tokens)
  SELECT NEW.created_at, 6, seq, NEW.actual_usd - OLD.actual_usd, NEW.actual_tokens - OLD.actual_tokens
  FROM runs WHERE run_id = NEW.run_id;
  INSERT INTO replay_bodies (seq, body) SELECT max(seq), NEW.hold_id FROM replay_log;
END;
"""
