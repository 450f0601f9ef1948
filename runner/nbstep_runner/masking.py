"""Secret values, kept out of everything that a run writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
MIN_LENGTH = 4
"""Characters of the shortest secret that is masked; masking a shorter one would riddle every text with masks."""
MIN_LINE_LENGTH = 8
"""Characters of the shortest line of a secret of several lines that is masked on its own."""

Span = tuple[int, int]


class Masker:
    """Replaces secret values by ``***``: as they are, and as JSON, ``repr`` and URLs write them.

    A secret of several lines, such as a private key, is masked line by line as well. Secrets shorter than
    ``MIN_LENGTH`` are not masked. Where occurrences overlap, all of their text is masked.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        usable = [secret for secret in secrets if len(secret.strip()) >= MIN_LENGTH]
        self._unmaskable = sum(0 < len(secret.strip()) < MIN_LENGTH for secret in secrets)
        self._forms = tuple(sorted({form for secret in usable for form in _forms(secret)}, key=len, reverse=True))
        self._starts = frozenset(form[0] for form in self._forms)
        self._longest = max(map(len, self._forms), default=0)

    def __bool__(self) -> bool:
        """Whether there is anything to mask."""
        return bool(self._forms)

    @property
    def unmaskable(self) -> int:
        """How many of the secrets are too short to be masked."""
        return self._unmaskable

    def mask(self, text: str) -> str:
        """The text without secrets."""
        spans = self.spans(text)
        return _without(text, spans) if spans else text

    def mask_value(self, value: Any) -> Any:
        """The JSON value with every string in it masked, keys too; the value itself where there is no secret."""
        if not self._forms:
            return value
        match value:
            case str():
                return self.mask(value)
            case dict():
                return {self.mask_value(key): self.mask_value(item) for key, item in value.items()}
            case list() | tuple():
                return [self.mask_value(item) for item in value]
            case _:
                return value

    def stream(self) -> StreamMasker:
        """A masker for one stream of text."""
        return StreamMasker(self)

    def spans(self, text: str) -> list[Span]:
        """Where secrets stand in a text: (start, end), in order, overlapping ones joined."""
        return _joined(span for form in self._forms for span in _occurrences(text, form))

    def begun(self, text: str) -> int:
        """Where at the end of the text a secret may have begun; the text's length if nowhere."""
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            if text[start] in self._starts and any(form.startswith(text[start:]) for form in self._forms):
                return start
        return len(text)


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
        shown = _without(text[:end], spans)
        if begun and end:
            shown = shown.removeprefix(MASK)
        if end:
            self._masked = max(0, spans[-1][1] - end) if spans else 0
        self._held = text[end:]
        return shown


def _forms(secret: str) -> Iterator[str]:
    """The ways in which a secret is likely to be written."""
    stripped = secret.strip()
    lines = [line.strip() for line in stripped.splitlines()]
    for text in {secret, stripped, *(line for line in lines if len(line) >= MIN_LINE_LENGTH)}:
        yield text
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield repr(text)[1:-1]
        yield repr(text.encode(errors="surrogatepass"))[2:-1]
        yield quote(text, errors="surrogatepass")
        yield quote(text, safe="", errors="surrogatepass")
        yield quote_plus(text, errors="surrogatepass")


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


def _without(text: str, spans: Iterable[Span]) -> str:
    parts, position = [], 0
    for start, stop in spans:
        parts += [text[position:start], MASK]
        position = stop
    return "".join([*parts, text[position:]])
