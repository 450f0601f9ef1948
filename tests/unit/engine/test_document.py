"""The executed notebook's bytes: those that Jupyter itself would write, at any size and in any order of ending."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbstep_runner.engine import document
from nbstep_runner.engine.document import Document, encode_notebook
from nbstep_runner.engine.spool import Segment, Spool
from support import disks

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["", "\n", "a\nb", "a\r\nb\n", "\x0b\x0c\x1c\x85", "\u2028", 'quotes " and \\ \\n', "</script>", "\x00\x7f", "😀"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OUTPUT = st.one_of(
    st.builds(lambda name, text: {"output_type": "stream", "name": name, "text": text}, st.just("stdout"), TEXT),
    st.builds(
        lambda text, value: {
            "output_type": "display_data",
            "metadata": {},
            "data": {"text/plain": text, "application/json": value, "image/svg+xml": text},
        },
        TEXT,
        JSON,
    ),
    st.builds(lambda text: {"output_type": "error", "ename": "E", "evalue": text, "traceback": [text, text]}, TEXT),
)
CODE = st.builds(
    lambda number, source, outputs, metadata: {
        "cell_type": "code",
        "id": f"c{number}",
        "execution_count": number or None,
        "metadata": {"custom": metadata},
        "source": source,
        "outputs": outputs,
    },
    st.integers(0, 99),
    TEXT,
    st.lists(OUTPUT, max_size=3),
    JSON,
)
MARKDOWN = st.builds(lambda source: {"cell_type": "markdown", "id": "m", "metadata": {}, "source": source}, TEXT)
NOTEBOOK = st.builds(
    lambda cells, metadata: {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells},
    st.lists(CODE | MARKDOWN, max_size=6),
    st.dictionaries(TEXT, JSON, max_size=3),
)


def copy_of(notebook: dict[str, Any]) -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps(notebook))
    return copied


def as_jupyter_writes(notebook: dict[str, Any]) -> bytes:
    text: str = nbformat.v4.writes(nbformat.from_dict(copy_of(notebook)))
    return text.encode() + b"\n"


@given(NOTEBOOK)
def test_bytes_are_those_of_nbformats_writer(notebook: dict[str, Any]) -> None:
    expected = as_jupyter_writes(notebook)
    ours = encode_notebook(copy_of(notebook))
    assert json.loads(ours) == json.loads(expected)
    if not floats_in(notebook):
        assert ours == expected or not notebook["cells"]


def floats_in(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(floats_in, value.values()))
    return any(map(floats_in, value)) if isinstance(value, list) else isinstance(value, float)


@pytest.fixture
def spilling() -> Iterator[Callable[[int], None]]:
    """Sets the bound past which cells go to the file."""
    with pytest.MonkeyPatch.context() as patch:
        yield lambda size: patch.setattr(document, "MEMORY_BYTES", size)


@given(notebook=NOTEBOOK, bound=st.integers(0, 3000), order=st.randoms(use_true_random=False), reopen=st.booleans())
def test_the_bytes_do_not_depend_on_where_cells_are_held_nor_on_their_order(
    tmp_path_factory: pytest.TempPathFactory, notebook: dict[str, Any], bound: int, order: Any, reopen: bool
) -> None:
    expected = encode_notebook(copy_of(notebook))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "MEMORY_BYTES", bound)
        growing = Document(copy_of(notebook), tmp_path_factory.mktemp("scratch"))
        indices = list(range(len(growing.cells)))
        order.shuffle(indices)
        for index in indices:
            growing.finish(index)
            snapshot = growing.snapshot()
            assert b"".join(snapshot.chunks()) == expected
            assert snapshot.size == len(expected)
            if reopen:
                cell = growing.reopen(index)
                assert cell.get("outputs") is None or len(cell["outputs"]) == len(notebook["cells"][index]["outputs"])
                growing.finish(index)
        complete = growing.complete()
        assert (complete if isinstance(complete, bytes) else complete.read_bytes()) == expected
        growing.close()


def large(cells: int = 4) -> dict[str, Any]:
    code: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": None, "source": ""}
    outputs = [{"output_type": "stream", "name": "stdout", "text": "x" * 1000}]
    many = [code | {"id": f"c{index}", "outputs": outputs} for index in range(cells)]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": many}


def test_finished_outputs_leave_the_memory(tmp_path: Path, spilling: Callable[[int], None]) -> None:
    spilling(1500)
    growing = Document(large(), tmp_path)
    for index in range(4):
        growing.finish(index)
    assert all(cell["outputs"] == [] for cell in growing.cells)
    (spool,) = tmp_path.iterdir()
    assert spool.stat().st_size > 3000
    complete = growing.complete()
    assert complete == spool
    growing.close()
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_does_not_change_while_the_notebook_goes_on(tmp_path: Path, spilling: Callable[[int], None]) -> None:
    spilling(0)
    growing = Document(large(), tmp_path)
    growing.finish(0)
    growing.cells[1]["outputs"] = []
    early = growing.snapshot()
    before = b"".join(early.chunks())
    for index in (1, 2, 3):
        growing.finish(index)
    growing.complete()
    assert b"".join(early.chunks()) == before
    assert len(json.loads(before)["cells"]) == 4


def test_a_full_disk_keeps_cells_in_memory(
    tmp_path: Path, spilling: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spilling(0)
    expected = encode_notebook(large())
    disks.fill(monkeypatch, room=2500)
    growing = Document(large(), tmp_path)
    for index in range(4):
        growing.finish(index)
    assert growing.spill_error is not None
    assert b"".join(growing.snapshot().chunks()) == expected


def test_a_spool_that_was_cut_off_by_others_is_an_error_not_a_hang(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    segment = spool.append(b"x" * 100, Segment())
    os.truncate(spool.path, 50)
    with pytest.raises(OSError, match="shorter"):
        list(spool.read(segment))
    spool.close()


@settings(max_examples=50)
@given(NOTEBOOK, st.data())
def test_outputs_that_were_put_away_leave_the_same_bytes(notebook: dict[str, Any], data: st.DataObject) -> None:
    expected = encode_notebook(copy_of(notebook))
    with tempfile.TemporaryDirectory() as scratch:
        made = Document(copy_of(notebook), Path(scratch))
        for index, cell in enumerate(made.cells):
            for position, output in enumerate(cell.get("outputs", [])):
                if "data" in output and data.draw(st.booleans()):
                    cell["outputs"][position] = made.put_away(output, 7)
            made.finish(index)
        assert complete(made) == expected
        for index in range(len(made.cells)):
            made.reopen(index)
            made.finish(index)
        assert complete(made) == expected
        made.close()


def complete(made: Document) -> bytes:
    whole = made.complete()
    return whole if isinstance(whole, bytes) else whole.read_bytes()


@pytest.mark.fault(21)
def test_an_output_that_cannot_be_put_away_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_spool: Spool, _data: bytes, _segment: Segment) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Spool, "append", full)
    made = Document({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, tmp_path)
    assert made.put_away({"output_type": "display_data", "data": {}, "metadata": {}}, 1) is None
    made.close()
