"""Text of a notebook made safe to show on a terminal."""

from __future__ import annotations

from nbstep_runner.hidden import HIDDEN, escaped


def visible(text: str) -> str:
    """The text with an escape for each character that would drive a terminal or hide, end or turn text around.

    Newlines and tabs stay.
    """
    return text if text.isprintable() else HIDDEN.sub(lambda match: escaped(match[0]), text)


def visible_line(text: str) -> str:
    """As :func:`visible`, on one line: a newline is an escape too."""
    return visible(text).replace("\n", "\\n")
