"""`palyra …` commands."""
