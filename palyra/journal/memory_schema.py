"""Notes, their words and their vectors, as a migration of its own: released text is never edited.

`used_at` is when a note was made, renewed or recalled last. The words lie in `memory_words` without a copy of the text,
which therefore never changes. `vector` holds numbers of four bytes, little-endian, together of length one.
"""

WORDS = """CREATE VIRTUAL TABLE memory_words USING fts5(
  text, content = 'memory_notes', content_rowid = 'number', tokenize = 'unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE memory_vocabulary USING fts5vocab('memory_words', 'row');
CREATE TRIGGER memory_note_made AFTER INSERT ON memory_notes BEGIN
  INSERT INTO memory_words (rowid, text) VALUES (NEW.number, NEW.text);
END;
CREATE TRIGGER memory_note_gone AFTER DELETE ON memory_notes BEGIN
  INSERT INTO memory_words (memory_words, rowid, text) VALUES ('delete', OLD.number, OLD.text);
END;
"""
"""What needs FTS5, which not every SQLite has."""

MEMORY = f"""
CREATE TABLE memory_notes (
  number INTEGER PRIMARY KEY,
  note_id TEXT NOT NULL UNIQUE,
  version INTEGER NOT NULL,
  scope TEXT NOT NULL,
  scope_value TEXT NOT NULL,
  owner TEXT NOT NULL,
  digest TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  recalled_at INTEGER,
  recall_count INTEGER NOT NULL,
  expires_at INTEGER,
  run_id TEXT NOT NULL,
  tags TEXT NOT NULL,
  text TEXT NOT NULL,
  UNIQUE (owner, scope, scope_value, digest)
) STRICT;
CREATE INDEX memory_notes_by_place ON memory_notes (owner, scope, scope_value, number, expires_at);
CREATE INDEX memory_notes_by_use ON memory_notes (used_at, number, bytes);
CREATE INDEX memory_notes_by_end ON memory_notes (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE memory_vectors (
  number INTEGER PRIMARY KEY REFERENCES memory_notes (number) ON DELETE CASCADE,
  version INTEGER NOT NULL,
  model TEXT NOT NULL,
  vector BLOB NOT NULL
) STRICT;

{WORDS}CREATE TRIGGER memory_text_stays BEFORE UPDATE ON memory_notes WHEN NEW.text <> OLD.text BEGIN
  SELECT RAISE(ABORT, 'the text of a note is never changed');
END;

CREATE TABLE memory_upkeep (
  upkeep_id INTEGER PRIMARY KEY,
  version INTEGER NOT NULL,
  at INTEGER NOT NULL,
  took_ms INTEGER NOT NULL,
  deleted_expired INTEGER NOT NULL,
  deleted_capacity INTEGER NOT NULL,
  indexed INTEGER NOT NULL,
  bytes_before INTEGER NOT NULL,
  bytes_after INTEGER NOT NULL,
  vacuumed INTEGER NOT NULL,
  vacuumed_at INTEGER,
  error TEXT NOT NULL
) STRICT;
"""
