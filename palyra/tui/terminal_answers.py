"""What a terminal says by itself, apart from what is typed on it.

Whoever had the terminal before may have asked it for its colours, its clipboard or its name, and the answer may come
late. Textual knows the answers that it asks for itself; it takes the others for keys, one by one, and keys decide.
"""

import re

IDLE_TURNS = 5
"""After so many turns in which nothing comes, an answer that was begun is taken for given up."""

_INTRODUCER = re.compile(
    r"\x1b(?:\](?=[0-9lLI])"  # operating system commands: colours, clipboard, title, icon
    r"|P(?=[0-9;>!$+|{=?])"  # device control: name and version, settings, capabilities
    r"|_(?=G))"  # application commands: graphics
)
"""How an answer begins that is a string. The same first two characters are also what Alt with a key sends."""

_BEGINNING = re.compile(r"\x1b[\]P_]\Z")
_END = re.compile(r"\x07|\x9c|\x1b\\|\x18|\x1a|(?=\x1b[^\\])")
"""What ends a string: its mark, what cancels anything, or another sequence that begins. Source: ECMA-48, xterm."""


class TerminalAnswers:
    """Takes strings a terminal answers out of its input, which may come in any pieces. Keeps nothing of them."""

    def __init__(self) -> None:
        self._held = ""
        self._within = False
        self._escaped = False
        self._idle = 0

    def without(self, text: str) -> str:
        """What is left of the input; what may be the beginning of an answer waits for more.

        An escape alone does not wait, since it is a key that people wait for: should an answer begin with it, that
        much of it is heard.
        """
        self._idle = 0
        escaped, self._escaped = self._escaped, False
        if escaped and _INTRODUCER.match(f"\x1b{text}"):
            text = f"\x1b{text}"
        text, self._held = self._held + text, ""
        kept: list[str] = []
        while text:
            if self._within:
                ended = _END.search(text)
                if ended is None:
                    # An escape at the end may begin the mark, and nothing else is worth keeping.
                    self._held = "\x1b" if text.endswith("\x1b") else ""
                    break
                self._within = False
                text = text[ended.end() :]
            elif (begun := _INTRODUCER.search(text)) is not None:
                kept.append(text[: begun.start()])
                self._within = True
                text = text[begun.end() :]
            else:
                beginning = _BEGINNING.search(text)
                end = len(text) if beginning is None else beginning.start()
                kept.append(text[:end])
                self._held = text[end:]
                self._escaped = text.endswith("\x1b")
                break
        return "".join(kept)

    def idle(self) -> str:
        """A turn in which nothing came: what waited was typed."""
        self._idle += 1
        self._escaped = False
        if self._within:
            self._within = self._idle < IDLE_TURNS
            return ""
        text, self._held = self._held, ""
        return text
