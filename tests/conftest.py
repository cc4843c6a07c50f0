"""What holds for every test."""

from hypothesis import settings

settings.register_profile("palyra", deadline=None)
settings.load_profile("palyra")
"""How long an example takes is no property of the code: machines are busy at times."""
