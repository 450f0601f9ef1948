"""Secret values, kept out of everything that a run writes."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nbstep_runner.written import DISPLAYED, MEANT, PRINTED, Reading, Span, forms_of

MASK = "***"
MIN_LENGTH = 4
"""Characters of the shortest secret that is masked; masking a shorter one would riddle every text with masks."""
MIN_LINE_LENGTH = 8
"""Characters of the shortest line of a secret of several lines that is masked on its own."""
LONGEST_HELD = 64 * 1024
"""Characters of a stream that are held back at most, however much that is not shown follows the start of a secret."""


class Masker:
    """Replaces secret values by ``***``: as they are, as JSON, HTML, ``repr``, URLs and base64 write them, in colours.

    A secret of several lines, such as a private key, is masked line by line as well. Secrets shorter than
    ``MIN_LENGTH`` are not masked. Where occurrences overlap, all of their text is masked. What stands within a secret
    and is not shown, control sequences and tags, is kept after the mask: what follows it looks as before.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        usable = [secret for secret in secrets if len(secret.strip()) >= MIN_LENGTH]
        self._unmaskable = sum(0 < len(secret.strip()) < MIN_LENGTH for secret in secrets)
        written = {form for secret in usable for form in forms_of(secret, MIN_LINE_LENGTH)}
        forms = [form for form in written if len(form) >= MIN_LENGTH]  # of one that is hardly shown little may be left
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        self._in_order = sorted(forms)
        self._heads = frozenset(form[:MIN_LENGTH] for form in forms)
        self._longest = max(map(len, self._forms), default=0)

    def __bool__(self) -> bool:
        """Whether there is anything to mask."""
        return bool(self._forms)

    @property
    def unmaskable(self) -> int:
        """How many of the secrets are too short to be masked."""
        return self._unmaskable

    def mask(self, text: str) -> str:
        """The text without secrets, whether it is read as it is, as markup or as a terminal shows it."""
        text = _without(text, self.spans(text), PRINTED)
        for unread in DISPLAYED:
            text = _without(text, self._read(text, unread), unread)
        return text

    def mask_value(self, value: Any) -> Any:
        """The JSON value with its texts, numbers and keys masked; the value itself where there is no secret."""
        if not self._forms:
            return value
        match value:
            case str():
                return self.mask(value)
            case dict():
                return {self.mask_value(key): self.mask_value(item) for key, item in value.items()}
            case list() | tuple():
                return [self.mask_value(item) for item in value]
            case int() | float() if not isinstance(value, bool) and self.spans(repr(value)):
                return self.mask(repr(value))
            case _:
                return value

    def stream(self) -> StreamMasker:
        """A masker for one stream of text."""
        return StreamMasker(self)

    def spans(self, text: str) -> list[Span]:
        """Where secrets stand in a text as a terminal shows it: (start, end), in order, overlapping ones joined."""
        return _joined([*self._occurrences(text), *self._read(text, PRINTED)])

    def _read(self, text: str, unread: re.Pattern[str]) -> list[Span]:
        """The same, in a text of which something is not shown; none where there is nothing of it."""
        if not self._forms or not unread.search(text):
            return []
        reading = Reading(text, unread)
        return _joined(reading.written(span) for span in self._occurrences(reading.text))

    def _occurrences(self, text: str) -> Iterator[Span]:
        return (span for form in self._forms for span in _occurrences(text, form))

    def begun(self, text: str) -> int:
        """Where at the end of a printed text a secret may have begun; the text's length if nowhere."""
        reading = Reading(text, PRINTED) if PRINTED.search(text) else None
        shown = reading.text if reading else text
        for start in range(max(0, len(shown) - self._longest + 1), len(shown)):
            head = shown[start : start + MIN_LENGTH]
            if (len(head) < MIN_LENGTH or head in self._heads) and self._begins_one(shown[start:]):
                begun = reading.written((start, len(shown)))[0] if reading else start
                return begun if len(text) - begun <= LONGEST_HELD else len(text)
        return len(text)

    def _begins_one(self, text: str) -> bool:
        """Whether a form of a secret begins so."""
        found = bisect_left(self._in_order, text)
        return found < len(self._in_order) and self._in_order[found].startswith(text)


class StreamMasker:
    """Masks a text that comes in pieces, so that a secret split over several is masked too.

    What may be the start of a secret is held back until it is known: fewer characters than the longest secret has.
    """

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = ""
        self._masked = 0
        """Characters at the start of what is held that belong to a secret whose mask has been shown."""

    @property
    def held(self) -> int:
        """How many characters are held back."""
        return len(self._held)

    def feed(self, text: str) -> str:
        """What is safe to show by now."""
        if not self._masker:
            return text
        text = self._held + text
        return self._show(text, self._masker.begun(text))

    def flush(self) -> str:
        """What was held back: no secret goes on from here."""
        return self._show(self._held, len(self._held))

    def _show(self, text: str, end: int) -> str:
        """The text up to ``end``, masked; the rest is held back."""
        begun = [(0, self._masked)] if self._masked else []
        spans = [span for span in _joined([*begun, *self._masker.spans(text)]) if span[0] < end]
        shown = _without(text[:end], spans, PRINTED)
        if begun and end:
            shown = shown.removeprefix(MASK)
        if end:
            self._masked = max(0, spans[-1][1] - end) if spans else 0
        self._held = text[end:]
        return shown


def _occurrences(text: str, form: str) -> Iterator[Span]:
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = text.find(form, start + 1)


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined


def _without(text: str, spans: Sequence[Span], unread: re.Pattern[str]) -> str:
    """The text with a mask for each span, followed by what of it is not shown, but may change what comes after it."""
    if not spans:
        return text
    parts, position = [], 0
    for start, stop in spans:
        kept = (match[0] for match in unread.finditer(text, start, stop) if match[0][0] not in MEANT)
        parts += [text[position:start], MASK, *kept]
        position = stop
    return "".join([*parts, text[position:]])
