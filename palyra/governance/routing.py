"""Planning: which model serves a request, how much output is held for it, and what every budget says to that."""
