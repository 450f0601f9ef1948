"""What is compiled for a first page: taken by later processes, equal to what it is kept for, and never in the way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nbconvert", reason="the html extra is not installed")

from nbstep_runner.page import kept

TESTS = Path(__file__).parents[2]
REHEARSED = """
import json, re, sys
from pathlib import Path
import jinja2
from nbstep_runner.page import PageRenderer, kept
from nbstep_runner.page.render import REHEARSAL
from support.records import run_record

compiled = []
code, generate = re._compiler._code, jinja2.Environment._generate
re._compiler._code = lambda *given: compiled.append("pattern") or code(*given)
jinja2.Environment._generate = lambda *given, **more: compiled.append("template") or generate(*given, **more)
kept.cache_from_source = lambda _: sys.argv[1]
renderer = PageRenderer()
renderer.rehearse()
heavy = {"IPython", "nbclient", "jupyter_client", "tornado"} & set(sys.modules)
page = renderer.render(json.dumps(REHEARSAL).encode(), run_record()).content.decode()
print(json.dumps([compiled.count("pattern"), compiled.count("template"), sorted(heavy), page]))
"""
PATTERNS: list[tuple[Any, int]] = [
    ("a(?P<b>c)|(d)(?(2)e|f)", 0),
    ("(?i)straße|[^\\w\U0001f600-\U0010ffff]+", 0),
    ("x  # a comment", re.VERBOSE | re.MULTILINE),
    (b"(?P<raw>\xff)*?", re.DOTALL),
    ("(?a:\\w)(?<!y)(?>z)", re.IGNORECASE),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where things are kept."""
    monkeypatch.setattr(kept, "cache_from_source", lambda _: tmp_path / "deep" / "kept.pyc")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return tmp_path / "deep" / "kept.kept"


def rehearse(folder: Path) -> list[Any]:
    command = [sys.executable, "-c", REHEARSED, str(folder / "kept.pyc")]
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=TESTS, timeout=120, check=True)
    counts: list[Any] = json.loads(done.stdout)
    return counts


def compile_all() -> list[re.Pattern[Any]]:
    re.purge()
    return [re.compile(pattern, flags) for pattern, flags in PATTERNS]


def test_a_later_process_compiles_next_to_nothing_and_has_the_same_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    patterns, templates, heavy, page = rehearse(tmp_path)
    assert patterns > 200
    assert templates > 5
    assert heavy == []
    patterns, templates, _, later = rehearse(tmp_path)
    assert patterns < 20
    assert templates == 0
    assert later == page


def test_patterns_are_what_they_would_be(place: Path) -> None:
    plain = compile_all()
    for _ in range(2):
        with kept.kept_compilations() as found:
            assert compile_all() == plain
        assert len(found.patterns) == len(PATTERNS)
        assert place.stat().st_mode & 0o777 == 0o644 & ~0o022
    assert found.patterns == kept.Kept(place).patterns


def test_a_pattern_that_is_none_is_told_as_ever(place: Path) -> None:
    with kept.kept_compilations(), pytest.raises(re.error, match="unterminated character set at position 0"):
        re.compile("[")
    assert place.exists()


@pytest.mark.parametrize("content", [b"", b"no marshal", b"\x00" * 100, b"N", None])
def test_a_damaged_file_is_begun_anew(place: Path, content: bytes | None) -> None:
    plain = compile_all()
    with kept.kept_compilations():
        compile_all()
    whole = place.read_bytes()
    place.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with kept.kept_compilations():
        assert compile_all() == plain
    assert kept.Kept(place).patterns


def test_another_version_begins_anew(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept.kept_compilations():
        compile_all()
    monkeypatch.setattr(kept, "LIBRARIES", ("jinja2",))
    assert not kept.Kept(place).patterns


@pytest.mark.usefixtures("place")
def test_code_that_python_refuses_is_compiled() -> None:
    plain = compile_all()
    with kept.kept_compilations() as found:
        compile_all()
        for key, (flags, _, *others) in list(found.patterns.items()):
            found.patterns[key] = (flags, b"\xff" * 8, *others)  # type: ignore[assignment]  # damaged
        assert compile_all() == plain


def test_nothing_is_written_where_python_writes_no_compiled_modules(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with kept.kept_compilations():
        compile_all()
    assert not place.exists()


def test_a_folder_that_takes_nothing_is_no_fault(place: Path) -> None:
    place.parent.write_text("a file in the folder's place")
    with kept.kept_compilations():
        assert compile_all()


def test_other_threads_and_failed_rehearsals_leave_nothing(place: Path) -> None:
    plain = re._compiler.compile  # type: ignore[attr-defined]  # Python's own, untyped
    with pytest.raises(ValueError, match="no page"), kept.kept_compilations() as found:  # noqa: PT012 - what the context does at an error
        thread = threading.Thread(target=compile_all)
        thread.start()
        thread.join()
        assert not found.patterns
        raise ValueError("no page")
    assert re._compiler.compile is plain  # type: ignore[attr-defined]  # Python's own, untyped
    assert not place.exists()
