"""Whether forgotten notes left something in the file, as a migration of its own: released text is never edited."""

TRACES = """
CREATE TABLE memory_traces (
  traces_id INTEGER PRIMARY KEY,
  version INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT;
"""
