"""What an operator wants of a console, whatever it shows."""

from palyra.core.values import value


@value
class Habits:
    """`timezone` is the IANA zone in which moments are told, empty for that of the engine. With `show_prompts` what
    waits for a person is shown with its words, where those are kept."""

    timezone: str = ""
    show_prompts: bool = False
