"""Ground: clock, money, windows, ids, events, errors and terminal-safe text. Imports nothing of Palyra."""
