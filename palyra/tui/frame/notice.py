"""The line above the footer: what came of the last act, or what is wrong with the link."""

from palyra.core.plural import plural
from palyra.core.safe_text import SafeText, safe
from palyra.core.values import value
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.bridge import Link
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, part

FLASH_SECONDS = 8.0


@value
class Flash:
    """What came of an act, shown until `until` (monotonic seconds) on the screen `where` it came of. `guard`: nothing
    came of it, since it has to be looked at first or cannot be done."""

    text: SafeText
    tone: Tone
    until: float
    where: str = ""
    guard: bool = False


_SIGNS = {Tone.GOOD: glyphs.OK, Tone.WARN: glyphs.ATTENTION, Tone.BAD: glyphs.BAD}


def flash(text: object, tone: Tone, now: float, where: str = "", *, guard: bool = False) -> Flash:
    """The line that tells what came of an act."""
    return Flash(safe(text), tone, now + FLASH_SECONDS, where, guard)


@value
class Banner:
    """What is wrong with the link, and since when (UTC unix ms)."""

    link: Link
    trouble: str
    since_ms: int


def notice_line(flashed: Flash | None, banner: Banner, problems: tuple[str, ...], zone: str, monotonic: float) -> Line:
    """The flash while it is fresh, else the banner of a link that is not live, else the engine's own problems."""
    if flashed is not None and monotonic < flashed.until:
        sign = _SIGNS.get(flashed.tone)
        return (part(f" {sign} {flashed.text}" if sign else f" {flashed.text}", flashed.tone),)
    since, link, trouble = show.clock(banner.since_ms, zone), banner.link, banner.trouble
    if link is Link.GONE:
        return (part(f" {glyphs.BAD} Engine gone since {since}: this is what was last seen. {trouble}", Tone.BAD),)
    if link is Link.TROUBLED:
        return (part(f" {glyphs.ATTENTION} Since {since}: {trouble}. What was last seen stays here.", Tone.WARN),)
    if link is Link.PAUSED:
        return (part(f" {glyphs.IDLE} Paused at {since}: lists stand still, the status line goes on.", Tone.WARN),)
    if problems:
        more = f" (and {plural(len(problems) - 1, 'problem')} more)" if len(problems) > 1 else ""
        return (part(f" {glyphs.ATTENTION} {safe(problems[0])}{more}", Tone.WARN),)
    return BLANK
