"""Dialogs: opened by a key, never by themselves; Esc always leaves everything as it was."""
