"""How a body that contradicts itself was understood, and corrections, as a migration of its own.

`readings` are all ways to understand a body, each with its price. A correction is a further row that cites the first
by its hold and holds the differences, so that sums over rows are right; it is no attempt of its own.
"""

from palyra.journal.usage_schema import ADD_USAGE, NEW_USAGE, usage_rolled_up

READINGS = f"""
ALTER TABLE usage ADD COLUMN readings TEXT;
ALTER TABLE usage ADD COLUMN corrects TEXT;
CREATE TRIGGER correction_cites_the_first BEFORE INSERT ON usage
WHEN NEW.corrects IS NOT NULL AND (NEW.hold_id IS NOT NULL OR NOT EXISTS
  (SELECT 1 FROM usage WHERE hold_id = NEW.corrects AND run_id = NEW.run_id)) BEGIN
  SELECT RAISE(ABORT, 'a correction cites the usage of a hold of its run');
END;
DROP TRIGGER usage_rolled_up;
{
    usage_rolled_up(
        NEW_USAGE.removesuffix("1") + "NEW.corrects IS NULL",
        ADD_USAGE.replace("attempts = attempts + 1", "attempts = attempts + excluded.attempts"),
    )
}
"""
