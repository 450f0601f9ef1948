"""A walk of mixed operations on a store, the same each time, for two stores to be compared by."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from nbstep_runner.errors import NbstepError
from nbstep_runner.stores import ABSENT, Store, join

LENGTH: Final = 40
CHOICES: Final = ("write", "create", "replace", "replace_old", "read", "stat", "delete", "delete_old", "list")
NAMES: Final = ("a", "b", "c/d")


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on one object; each step writes other bytes."""

    choice: str
    name: str
    data: bytes


def steps(seed: int) -> Iterator[Step]:
    """The steps of a walk."""
    choices = random.Random(seed)  # noqa: S311 - the walk has to be the same each time
    for number in range(LENGTH):
        yield Step(choices.choice(CHOICES), choices.choice(NAMES), b"x" * (number + 1))


class Walk:
    """One store's side of a walk; outcomes hold no versions, which differ between stores."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder
        self._versions: dict[str, list[str]] = {}

    def take(self, step: Step) -> object:
        """What came of a step: bytes, a size, a listing, or the kind of its error."""
        try:
            return self._step(step.choice, join(self._folder, step.name), step.data)
        except NbstepError as error:
            return type(error)

    def _step(self, choice: str, uri: str, data: bytes) -> object:
        known = self._versions.setdefault(uri, [])
        if choice in {"write", "create", "replace", "replace_old"}:
            known.append(self._store.write(uri, data, if_version=self._condition(choice, known)))
            return "written"
        if choice.startswith("delete"):
            self._store.delete(uri, if_version=self._condition(choice, known))
            return "gone"
        if choice == "read":
            return self._store.read(uri).data
        if choice == "stat":
            return getattr(self._store.stat(uri), "size", None)
        return [(stat.uri.removeprefix(self._folder), stat.size) for stat in self._store.list(self._folder)]

    def _condition(self, choice: str, known: list[str]) -> str | None:
        if choice == "create":
            return ABSENT
        if choice == "replace":
            return known[-1] if known else "0"
        return known[0] if choice.endswith("_old") and known else None
