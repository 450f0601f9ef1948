"""Errors that a kernel only prints: what its reply and its messages leave out, for languages where that is so."""

from __future__ import annotations

import re
from typing import Final

from nbstep_runner.engine.messages import Raised
from nbstep_runner.engine.text import without_ansi

TAIL: Final = 16 * 1024
"""Characters at the end of a cell's text that are looked at: an error ends a cell, so nothing is printed after it."""

AT_THE_END: Final = {
    # octave_kernel replies "ok" to a call of error(), and prints what Octave prints, with its callers in further lines.
    "octave": re.compile(
        r"^error: (?P<value>[^\n]*)(?P<more>(?:\n(?:error: |>>> |[ \t])[^\n]*|\n)*)\s*\Z", re.MULTILINE
    ),
    # IPython replies "ok" to a cell for a program (%%ruby, %%script) that it does not find; nothing of it has run.
    "python": re.compile(r"\A(?P<value>Couldn't find program: [^\n]*)\n(?P<more>)\Z"),
}
FOR_A_PROGRAM: Final = "%%"
"""How a Python cell begins that is all for a program."""
FAILS_SILENTLY: Final = "--no-raise-error"
"""Asks IPython to take the failure of a cell's program for none."""
COMPLAINT: Final = re.compile(r"(?:error|exception)\b", re.IGNORECASE)

QUIT: Final = re.compile(r"\bq(?:uit)?\s*\((?P<arguments>[^()]*)\)")
"""R's request to end; its kernel passes on neither the status nor the words of it."""
COMMENT: Final = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
STATUS: Final = re.compile(r"(?:\A[^,=]*,\s*|\bstatus\s*=\s*)(?P<status>\d+)L?\s*(?:,|\Z)")


def status_of_exit(language: str, source: str) -> str:
    """The status with which a cell of R has ended its notebook, where all its calls of ``quit`` name it; or empty."""
    calls = QUIT.findall(COMMENT.sub("", source)) if language.lower() == "r" else []
    named = {found["status"] if (found := STATUS.search(call.strip())) else "" for call in calls}
    return named.pop() if len(named) == 1 else ""


def printed_error(language: str, source: str, text: str) -> Raised | None:
    """The error that the text of a cell ends with.

    Args:
        language: The kernel's.
        source: The cell's.
        text: What the cell printed last, to one stream.
    """
    first_line = next(iter(source.lstrip().splitlines()), "")
    if language.lower() == "python" and (not first_line.startswith(FOR_A_PROGRAM) or FAILS_SILENTLY in first_line):
        return None
    pattern = AT_THE_END.get(language.lower())
    found = pattern.search(_readable(text)) if pattern else None
    if found is None:
        return None
    more = next(filter(None, map(str.strip, found["more"].splitlines())), "")
    value = f"{found['value']} {more}" if found["value"].endswith(":") else found["value"]
    return Raised("", value, tuple(found[0].strip().splitlines()))


def complaint_in(text: str) -> str:
    """The line of a text on stderr that says best what went wrong: the last that names an error, else the last."""
    lines = [line for line in _readable(text).splitlines() if line.strip()]
    plain = [line for line in lines if not line[0].isspace()]
    naming = [line for line in plain if COMPLAINT.search(line)]
    return next((found[-1].strip() for found in (naming, plain, lines) if found), "")


def _readable(text: str) -> str:
    return without_ansi(text[-TAIL:]).replace("\r\n", "\n")
