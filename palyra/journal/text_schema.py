"""What runs were asked and answered, where that is kept, as a migration of its own: released text is never edited."""

TEXTS = """
CREATE TABLE run_texts (
  seq INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL,
  part TEXT NOT NULL,
  redacted INTEGER NOT NULL,
  cut INTEGER NOT NULL,
  text TEXT NOT NULL,
  size INTEGER NOT NULL,
  UNIQUE (run_id, part)
) STRICT;
"""
