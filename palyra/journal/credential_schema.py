"""What is noted of providers' credentials, as a migration of its own: released text is never edited."""

CREDENTIALS = """
CREATE TABLE credentials (
  provider TEXT NOT NULL,
  credential TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  cooling_until INTEGER,
  refused TEXT NOT NULL,
  last_used INTEGER,
  last_error TEXT NOT NULL,
  last_error_at INTEGER,
  PRIMARY KEY (provider, credential, fingerprint)
) STRICT, WITHOUT ROWID;
"""
