"""Numbers with their noun, as people say them."""


def plural(number: int, noun: str, form: str = "") -> str:
    """`1 run`, `3,102 runs`. `form` is the noun for many where that is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else form or f'{noun}s'}"
