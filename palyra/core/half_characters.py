"""Halves of characters: JSON may escape one of the two that make up a character beyond the first 65,536, keyboards and
files have none, and none can be written down."""

import re

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Finds one: Python keeps whole characters whole, so every surrogate in a text is a lone one. Source: RFC 8259, 8.2."""
