"""What is left of runs that are old enough to go, as a migration of its own: released text is never edited.

A row of `folded_holds` stands for `holds` of them that count alike; `body` is their sum, as the JSON array of a hold.
`folded` has one row: what had ended before `until` is in the sums of usage, in `folded_holds` and, a few, still there.
"""

FOLDS = """
CREATE TABLE folded_holds (
  seq INTEGER PRIMARY KEY,
  alike TEXT NOT NULL UNIQUE, -- what they have in common, as JSON
  holds INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE TABLE folded (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  until INTEGER NOT NULL,
  runs INTEGER NOT NULL
) STRICT;
"""
