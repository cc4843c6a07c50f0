"""The doctor: what is wrong with an installation, what would put it right, and how to take that back."""
