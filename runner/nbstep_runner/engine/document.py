"""The executed notebook as it grows: each cell is serialised once, when it ends, and never again.

A snapshot costs the cells that have not ended; bytes of finished cells are shared with it, in memory up to a bound
and past it in a file in scratch, which in the end only lacks its last lines to be the notebook.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import msgspec

from nbstep_runner.engine.encoding import encode_around_outputs, encode_cell, encode_output
from nbstep_runner.engine.spool import Part, Segment, Spool

HEADER: Final = b'{\n "cells": ['
SEPARATOR: Final = b","
MEMORY_BYTES: Final = 16 * 2**20
SPOOLED: Final = "spooled"
"""Of an output that lies in the file: where. No output of nbformat has that key."""


@dataclass(eq=False, slots=True, kw_only=True)
class SpooledOutput(Segment):
    """An output of a cell, in the file.

    Attributes:
        counted: What it takes of the limits.
        rest: The output without its data and metadata.
    """

    counted: int
    rest: dict[str, Any]

    def as_output(self) -> dict[str, Any]:
        """What stands for it among a cell's outputs."""
        return self.rest | {SPOOLED: self}


Parts = tuple[Part, ...]
"""A cell's JSON: one part, or what stands before its outputs, outputs with separators between them, and the rest."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole notebook at one moment, as parts that do not change any more."""

    cells: tuple[Parts, ...]
    footer: bytes
    spool: Spool | None

    @property
    def size(self) -> int:
        """Bytes of the notebook."""
        separators = max(0, len(self.cells) - 1) * len(SEPARATOR)
        return len(HEADER) + sum(size_of(part) for cell in self.cells for part in cell) + separators + len(self.footer)

    def chunks(self) -> Iterator[bytes]:
        """The notebook's bytes, in pieces of bounded size as far as they lie in the file."""
        yield HEADER
        for index, cell in enumerate(self.cells):
            if index:
                yield SEPARATOR
            for part in cell:
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
        self._parts: list[Parts | None] = [None] * len(self.cells)
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
        parts = encoded_parts(cell)
        old = self._parts[index] or ()
        if any(isinstance(part, Segment) for part in (*old, *parts)):
            self._in_order = False
        self._parts[index] = parts
        self._held += _in_memory(parts) - _in_memory(old)
        if "outputs" in cell:
            self.cells[index] = cell | {"outputs": []}
        if self._held > MEMORY_BYTES:
            self._spill()

    def insert(self, index: int, cell: dict[str, Any]) -> None:
        """Add a cell that is finished, once all others are."""
        self.cells.insert(index, cell)
        self._parts.insert(index, (encode_cell(cell),))
        self._in_order = False

    def reopen(self, index: int) -> dict[str, Any]:
        """A finished cell with its outputs again, as they were before; :meth:`finish` has to follow."""
        parts = self._parts[index]
        if parts is None:
            return self.cells[index]
        head, *outputs = parts
        tail = outputs.pop() if outputs else b""
        cell: dict[str, Any] = msgspec.json.decode(self._bytes(head) + self._bytes(tail))
        for output in outputs[::2]:  # the others are separators
            cell["outputs"] += (
                [output.as_output()]
                if isinstance(output, SpooledOutput)
                else msgspec.json.decode(b"[" + self._bytes(output) + b"]")
            )
        self.cells[index] = cell
        return cell

    def put_away(self, output: dict[str, Any], counted: int) -> dict[str, Any] | None:
        """Write an output of a running cell to the file; what stands for it, or ``None`` where the file cannot take it.

        Args:
            output: A display or a value.
            counted: What it takes of the limits.
        """
        rest = {key: value for key, value in output.items() if key not in {"data", "metadata"}}
        try:
            spooled = self._file().append(encode_output(output), SpooledOutput(counted=counted, rest=rest))
        except OSError as error:
            self.spill_error = error
            return None
        self._in_order = False
        return spooled.as_output()

    def _bytes(self, part: Part) -> bytes:
        if isinstance(part, bytes):
            return part
        return b"".join(self._spool.read(part)) if self._spool is not None else b""

    def _file(self) -> Spool:
        if self._spool is None:
            self._spool = Spool(self._scratch)
            self._spool.append(HEADER, Segment())
        return self._spool

    def _spill(self) -> None:
        """Move finished cells to the file, in order; where it cannot take them they stay in memory."""
        if self.spill_error is not None:
            return
        try:
            spool = self._file()
            while self._spilled < len(self._parts) and (parts := self._parts[self._spilled]):
                if self._spilled:
                    spool.append(SEPARATOR, Segment())
                self._parts[self._spilled] = tuple(
                    spool.append(part, Segment()) if isinstance(part, bytes) else part for part in parts
                )
                self._held -= _in_memory(parts)
                self._spilled += 1
        except OSError as error:
            self.spill_error = error
            self._in_order = False

    def snapshot(self) -> Snapshot:
        """The notebook as it stands."""
        cells = (
            encoded_parts(cell) if parts is None else parts for cell, parts in zip(self.cells, self._parts, strict=True)
        )
        return Snapshot(tuple(cells), self._footer(), self._spool)

    def complete(self) -> bytes | Path:
        """The whole notebook: bytes, or a file where it is large.

        Raises:
            OSError: Scratch cannot hold it.
        """
        if self._spool is None:
            return b"".join(self.snapshot().chunks())
        if self._in_order and self._spilled and not self._spool.rewritten:
            return self._complete_spool(self._spool)
        return write_snapshot(self.snapshot(), self._scratch)

    def _complete_spool(self, spool: Spool) -> Path:
        """Add to the file what it lacks; all parts after those in it are bytes, because they came in order."""
        snapshot = self.snapshot()
        rest = (SEPARATOR + self._bytes(part) for cell in snapshot.cells[self._spilled :] for part in cell)
        spool.append(b"".join(rest) + snapshot.footer, Segment())
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


def encoded_parts(cell: dict[str, Any]) -> Parts:
    """A cell's JSON, around those of its outputs that lie in the file."""
    outputs = cell.get("outputs") or []
    if not any(SPOOLED in output for output in outputs):
        return (encode_cell(cell),)
    head, tail = encode_around_outputs(cell)
    parts: list[Part] = [head]
    for spooled, run in groupby(outputs, key=lambda output: SPOOLED in output):
        several = list(run)
        encoded = [output[SPOOLED] for output in several] if spooled else [SEPARATOR.join(map(encode_output, several))]
        for part in encoded:
            parts += (part, SEPARATOR)
    return (*parts[:-1], tail)


def size_of(part: Part) -> int:
    """Bytes of a part."""
    return len(part) if isinstance(part, bytes) else part.size


def _in_memory(parts: Parts) -> int:
    return sum(len(part) for part in parts if isinstance(part, bytes))


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
