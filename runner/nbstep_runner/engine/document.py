"""The executed notebook as it grows: each cell is serialised once, when it ends, and never again.

A snapshot costs the cells that have not ended; bytes of finished cells are shared with it, in memory up to a bound
and past it in a file in scratch, which in the end only lacks its last lines to be the notebook.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

HEADER: Final = b'{\n "cells": ['
SEPARATOR: Final = b","
MEMORY_BYTES: Final = 16 * 2**20
COPY_BYTES: Final = 2**20
READABLE: Final = 2**20


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the spool file."""

    offset: int
    size: int


Part = bytes | Segment


class Spool:
    """An append-only file; its parts can be read from any thread while it grows."""

    def __init__(self, folder: Path) -> None:
        self._descriptor, path = tempfile.mkstemp(prefix="notebook-", suffix=".spool", dir=folder)
        self.path = Path(path)
        self.size = 0

    def append(self, data: bytes) -> Segment:
        """Write all of the data at the end.

        Raises:
            OSError: It does not fit; what was written of it is cut off again.
        """
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
            raise
        segment = Segment(self.size, len(data))
        self.size += len(data)
        return segment

    def read(self, segment: Segment) -> Iterator[bytes]:
        """The bytes of a part, a piece at a time.

        Raises:
            OSError: They cannot be read; somebody else has cut the file off.
        """
        offset, end = segment.offset, segment.offset + segment.size
        while offset < end:
            data = os.pread(self._descriptor, min(COPY_BYTES, end - offset), offset)
            if not data:
                raise OSError(f"{self.path} is shorter than what was written to it")
            offset += len(data)
            yield data

    def close(self) -> None:
        """Remove the file."""
        os.close(self._descriptor)
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole notebook at one moment, as parts that do not change any more."""

    parts: tuple[Part, ...]
    footer: bytes
    spool: Spool | None

    @property
    def size(self) -> int:
        """Bytes of the notebook."""
        separators = max(0, len(self.parts) - 1) * len(SEPARATOR)
        cells = sum(len(part) if isinstance(part, bytes) else part.size for part in self.parts)
        return len(HEADER) + cells + separators + len(self.footer)

    def chunks(self) -> Iterator[bytes]:
        """The notebook's bytes, in pieces of bounded size as far as they lie in the file."""
        yield HEADER
        for index, part in enumerate(self.parts):
            if index:
                yield SEPARATOR
            if isinstance(part, bytes):
                yield part
            elif self.spool is not None:
                yield from self.spool.read(part)
        yield self.footer


class Document:
    """A notebook (nbformat 4.5, as plain data) whose cells end one after another.

    Args:
        notebook: Its ``cells`` are changed in place by whoever runs them.
        scratch: Where the spool file goes if it is needed.
    """

    def __init__(self, notebook: dict[str, Any], scratch: Path) -> None:
        self.notebook = notebook
        self._scratch = scratch
        self._parts: list[Part | None] = [None] * len(self.cells)
        self._spool: Spool | None = None
        self._held = 0
        self._spilled = 0
        self._in_order = True
        self.spill_error: OSError | None = None

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The cells; finished ones without their outputs, which exist as bytes only."""
        cells: list[dict[str, Any]] = self.notebook["cells"]
        return cells

    def finish(self, index: int) -> None:
        """Take a cell as it stands: serialise it and let go of its outputs."""
        cell = self.cells[index]
        part = encode_cell(cell)
        old = self._parts[index]
        if isinstance(old, Segment):
            self._in_order = False
        self._parts[index] = part
        self._held += len(part) - (len(old) if isinstance(old, bytes) else 0)
        if "outputs" in cell:
            self.cells[index] = cell | {"outputs": []}
        if self._held > MEMORY_BYTES:
            self._spill()

    def insert(self, index: int, cell: dict[str, Any]) -> None:
        """Add a cell that is finished, once all others are."""
        self.cells.insert(index, cell)
        self._parts.insert(index, encode_cell(cell))
        self._in_order = False

    def reopen(self, index: int) -> dict[str, Any]:
        """A finished cell with its outputs again; :meth:`finish` has to follow."""
        part = self._parts[index]
        if part is None:
            return self.cells[index]
        data = part if isinstance(part, bytes) else b"".join(self._read(part))
        cell: dict[str, Any] = msgspec.json.decode(data)
        self.cells[index] = cell
        return cell

    def _read(self, segment: Segment) -> Iterator[bytes]:
        return self._spool.read(segment) if self._spool is not None else iter(())

    def _spill(self) -> None:
        """Move finished cells to the file, in order; where it cannot take them they stay in memory."""
        if self.spill_error is not None:
            return
        try:
            if self._spool is None:
                self._spool = Spool(self._scratch)
                self._spool.append(HEADER)
            while self._spilled < len(self._parts) and isinstance(part := self._parts[self._spilled], bytes):
                if self._spilled:
                    self._spool.append(SEPARATOR)
                self._parts[self._spilled] = self._spool.append(part)
                self._held -= len(part)
                self._spilled += 1
        except OSError as error:
            self.spill_error = error
            self._in_order = False

    def snapshot(self) -> Snapshot:
        """The notebook as it stands."""
        parts = tuple(
            encode_cell(cell) if part is None else part for cell, part in zip(self.cells, self._parts, strict=True)
        )
        return Snapshot(parts, self._footer(), self._spool)

    def complete(self) -> bytes | Path:
        """The whole notebook: bytes, or a file where it is large.

        Raises:
            OSError: Scratch cannot hold it.
        """
        if self._spool is None:
            return b"".join(self.snapshot().chunks())
        if self._in_order and self._spilled:
            return self._complete_spool(self._spool)
        return write_snapshot(self.snapshot(), self._scratch)

    def _complete_spool(self, spool: Spool) -> Path:
        """Add to the file what it lacks; all parts after those in it are bytes, because they came in order."""
        snapshot = self.snapshot()
        rest = (SEPARATOR + part for part in snapshot.parts[self._spilled :] if isinstance(part, bytes))
        spool.append(b"".join(rest) + snapshot.footer)
        return spool.path

    def _footer(self) -> bytes:
        rest = {key: value for key, value in self.notebook.items() if key != "cells"}
        data = msgspec.json.format(msgspec.json.encode(rest, order="sorted"), indent=1)
        return b"\n ],\n" + data[2:] + b"\n"

    def close(self) -> None:
        """Remove the file."""
        if self._spool is not None:
            self._spool.close()


def encode_notebook(notebook: dict[str, Any]) -> bytes:
    """The JSON of a notebook that has not been run."""
    document = Document(notebook, Path())
    return b"".join(document.snapshot().chunks())


def encode_cell(cell: dict[str, Any]) -> bytes:
    """A cell's JSON as Jupyter writes it: keys sorted, one space a level, text as lists of lines."""
    data = msgspec.json.encode([[_split_cell(cell)]], order="sorted")
    return msgspec.json.format(data, indent=1)[len(b"[\n [") : -len(b"\n ]\n]")]


def write_snapshot(snapshot: Snapshot, folder: Path) -> Path:
    """A snapshot as a new file in a folder.

    Raises:
        OSError: It does not fit there; nothing of it is left.
    """
    descriptor, name = tempfile.mkstemp(prefix="notebook-", suffix=".ipynb", dir=folder)
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(snapshot.chunks())
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path


def _split_cell(cell: dict[str, Any]) -> dict[str, Any]:
    split = cell | {"source": _lines(cell["source"])}
    if "outputs" in cell:
        split["outputs"] = [_split_output(output) for output in cell["outputs"]]
    return split


def _split_output(output: dict[str, Any]) -> dict[str, Any]:
    if "text" in output:
        return output | {"text": _lines(output["text"])}
    if "data" in output:
        data = {mime: value if mime.endswith("json") else _lines(value) for mime, value in output["data"].items()}
        return output | {"data": data}
    return output


def _lines(text: Any) -> Any:
    """Text as a list of lines, which makes changes readable; text too large to be read stays one string."""
    return text.splitlines(keepends=True) if isinstance(text, str) and len(text) <= READABLE else text
