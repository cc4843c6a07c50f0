"""What estimates learn from, kept with each usage row, as a migration of its own: released text is never edited.

Rows from before it say that nothing was seen and that the provider added what it adds to most prompts.
"""

METER = """
ALTER TABLE usage ADD COLUMN visible_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN overhead INTEGER NOT NULL DEFAULT 30;
"""
