"""Texts that are kept only up to a size."""


def bounded(text: str, most: int) -> str:
    """As much of a text as so many bytes of UTF-8 hold, ending between two characters."""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= most else data[:most].decode("utf-8", "ignore")
