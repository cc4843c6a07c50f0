"""Why something failed, in the words of the system and without its numbers."""


def reason_of(error: BaseException) -> str:
    """`no such file or directory` for an OSError, as much of any other error as people can read; never empty."""
    if isinstance(error, UnicodeError):
        return "it is no text in its encoding"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error) or type(error).__name__
