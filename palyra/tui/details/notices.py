"""Work that gives signs of life, and notifications that nobody took: their marks, rows' words, and each opened."""

from palyra.control.notice_queries import DeliveryView, HeartbeatView
from palyra.core.plural import plural
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.layout import pairs
from palyra.tui.details.words import Mark
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, line, part, strong, wrap

_STATES: dict[str, tuple[str, Tone]] = {
    "healthy": (glyphs.OK, Tone.GOOD),
    "silent": (glyphs.BAD, Tone.BAD),
    "stalled": (glyphs.ATTENTION, Tone.WARN),
    "failing": (glyphs.BAD, Tone.BAD),
}


def beat_mark(beat: HeartbeatView) -> Mark:
    """Glyph, word and tone of a sign of life."""
    glyph, tone = _STATES.get(beat.state, (glyphs.ATTENTION, Tone.WARN))
    return glyph, beat.state, tone


def work_words(beat: HeartbeatView) -> str:
    """What kind of work gives the sign of life."""
    return beat.work.replace("_", " ")


def beat_lines(beat: HeartbeatView, width: int) -> list[Line]:
    """Everything about a sign of life, in lines."""
    glyph, word, tone = beat_mark(beat)
    most = "for ever" if beat.stalled_ms is None else show.span(beat.stalled_ms)
    lines = pairs(
        [
            ("work", strong(work_words(beat))),
            ("state", part(f"{glyph} {word}", tone)),
            ("name", part(beat.object_id)),
            ("of", part(beat.principal or show.NONE)),
            ("last beat", part(f"{show.age(beat.age_ms)} ago, silent from {show.span(beat.silent_ms)} on")),
            ("progress", part(f"{show.age(beat.progress_age_ms)} ago, may stand still {most}")),
            ("phase", part(beat.phase or show.NONE)),
            ("advanced to", part(show.NONE if beat.progress is None else f"{beat.progress:,}")),
        ],
        width,
    )
    return [*lines, BLANK, *wrap(beat.summary, width - 1, indent=" ")] if beat.summary else lines


def letter_lines(letter: DeliveryView, zone: str, now: int, width: int) -> list[Line]:
    """Everything about a notice that was given up, in lines."""
    status = "no answer" if letter.status is None else f"HTTP {letter.status}"
    return [
        *wrap(letter.summary, width - 1, indent=" ", tone=Tone.STRONG),
        BLANK,
        *pairs(
            [
                ("webhook", part(letter.webhook)),
                ("event", part(letter.event)),
                ("severity", part(letter.severity)),
                ("about", part(letter.subject)),
                ("told", part(show.moment(letter.at, zone, now))),
                ("given up", part(show.moment(letter.ended_at, zone, now))),
                ("tries", part(plural(letter.tries, "try", "tries"))),
                ("last", part(status, Tone.BAD)),
                ("id", part(letter.delivery_id)),
            ],
            width,
        ),
        BLANK,
        *(wrap(letter.error, width - 1, indent=" ", tone=Tone.BAD) if letter.error else [line(" ")]),
    ]
