"""By which id a provider keeps an answer, so that who goes on from it can be told from what it used, as a migration of
its own: released text is never edited.

Rows from before it name no answer.
"""

ANSWERS = "ALTER TABLE usage ADD COLUMN answer_id TEXT NOT NULL DEFAULT ''"
