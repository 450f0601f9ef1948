"""The notebooks that a server reads by name: those below the configured places, and no other address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from nbstep.authoring.notebook import read_notebook
from nbstep.profiles.storage import store_of
from nbstep.server.config import Config
from nbstep.server.problems import forbidden, over_limit
from nbstep_runner.contract import SPEC, StorageOptions
from nbstep_runner.errors import InputNotFoundError, NbstepError
from nbstep_runner.parameters import Signature, read_signature, signature_schema
from nbstep_runner.stores import join

MOST_NAMES: Final = 5000
MOST_NOTEBOOKS: Final = 200
"""How many names of a place are looked at for notebooks to choose from, and how many are offered."""
_REFUSED: Final = frozenset('?#\\"<>{} ')


class Notebooks:
    """The notebooks that may be named.

    Args:
        config: Its places, and how large a notebook may be.

    Attributes:
        places: Below which they lie.
    """

    def __init__(self, config: Config) -> None:
        self.places = config.notebooks
        self._most_bytes = config.limits.upload_bytes

    def checked(self, uri: str, storage: StorageOptions) -> str:
        """The place of a notebook, once it is known to be one that may be read.

        Nothing is asked of an address that is below no configured place: the server would ask with its own rights, and
        from where it stands in the network.

        Raises:
            Problem: It lies elsewhere, or is larger than is read.
            InputNotFoundError: There is none.
        """
        place = _below(self.places, uri)
        if place is None:
            raise forbidden(
                f"{uri[:200]!r} is in none of the places that this server reads notebooks from",
                hint="Upload the notebook, or ask whoever runs the server to add its place.",
            )
        stat = store_of(place, storage).stat(place)
        if stat is None or ("://" not in place and not Path(place).is_file()):  # a pipe would never end
            raise InputNotFoundError(f"there is no notebook {uri}")
        if stat.size > self._most_bytes:
            raise over_limit(f"the notebook has {stat.size} bytes; this server reads up to {self._most_bytes}")
        return place

    def schema(self, uri: str, storage: StorageOptions) -> dict[str, object]:
        """JSON Schema of the parameters that a notebook takes; raises as :meth:`signature`."""
        return signature_schema(self.signature(uri, storage))

    def signature(self, uri: str, storage: StorageOptions) -> Signature:
        """The parameters that a notebook takes.

        Raises:
            Problem: As :meth:`checked`.
            BadInputError: It is no notebook.
        """
        return read_signature(read_notebook(self.checked(uri, storage), storage).content)

    def some(self, storage: StorageOptions) -> list[str]:
        """Some of the notebooks below the places, to choose from: the first few, of the first names that are there.

        A place that cannot be listed now has none to offer.
        """
        found: list[str] = []
        for place in self.places:
            with suppress(NbstepError):
                names = _local_names(place) if "://" not in place else _stored_names(place, storage)
                found += (name for name in islice(names, MOST_NAMES) if name.endswith(".ipynb"))
        return found[:MOST_NOTEBOOKS]


def _local_names(place: str) -> Iterator[str]:
    """The files below a folder of this machine, but for folders that are hidden or hold runs."""
    for folder, folders, names in os.walk(place):
        runs = {name for name in folders if os.path.exists(os.path.join(folder, name, SPEC))}  # noqa: PTH110, PTH118 - a Path raises where it may not look
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in runs)
        yield from (str(Path(folder, name)) for name in sorted(names))


def _stored_names(place: str, storage: StorageOptions) -> Iterator[str]:
    prefix = join(place, "")
    return (stat.uri for stat in store_of(prefix, storage).list(prefix))


def _below(places: tuple[str, ...], uri: str) -> str | None:
    """Where a notebook lies that is below one of the places, links followed; ``None`` where it is below none."""
    if "\0" in uri:
        return None
    if "://" not in uri:
        path = Path(uri)
        if not path.is_absolute():
            return None
        try:
            path = path.resolve()
        except (OSError, RuntimeError):  # such as a link that leads to itself
            return None
        near = (Path(place).resolve() for place in places if "://" not in place)
        return str(path) if any(path.is_relative_to(place) for place in near) else None
    return uri if any(_is_below(place, uri) for place in places if "://" in place) else None


def _is_below(place: str, uri: str) -> bool:
    """Whether a URI names an object below another in one plain way, whoever reads it."""
    prefix = place.rstrip("/") + "/"
    inside = uri.startswith(prefix) and "::" not in uri
    return inside and all(_is_plain(segment) for segment in uri.removeprefix(prefix).split("/"))


def _is_plain(segment: str) -> bool:
    """Whether a segment stays one, and does not climb, however often it is percent-decoded."""
    while True:
        if segment in ("", ".", "..") or _REFUSED.intersection(segment) or "/" in segment or not segment.isprintable():
            return False
        plain = unquote(segment)
        if plain == segment:
            return True
        segment = plain
