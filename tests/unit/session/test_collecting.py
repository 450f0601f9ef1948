"""What comes back of a working directory, and what the record says of the rest."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbstep_runner.contract import OWN_FOLDERS, InputFile, LeftBehind, RunResult, RunSpec, RunState
from nbstep_runner.errors import OutputConflictError, StorageDeniedError, StorageUnavailableError, TerminatedError
from nbstep_runner.session import working_files
from nbstep_runner.session.collecting import AT_ONCE
from nbstep_runner.session.earlier import look_at_output
from nbstep_runner.session.ledger import Ledger, LogSettings
from nbstep_runner.session.stored_output import StoredOutput
from nbstep_runner.session.working_files import WorkingFiles
from nbstep_runner.sinks.log import LogFormat
from nbstep_runner.stores import Source
from nbstep_runner.stores.memory import MemorySpace, MemoryStore
from nbstep_runner.supervisor import Supervisor
from nbstep_runner.testing import Fault, FaultyStore
from support import disks

OUTPUT = "memory://runs/out.ipynb"
PLACE = "memory://runs/out.files/"


class Work:
    """A run whose last cell has ended and whose notebook is stored."""

    def __init__(self, folder: Path, *collect: str, store: Any = None, **fields: Any) -> None:
        self.folder = folder
        self.spec = RunSpec(run_id="r", input_uri="in.ipynb", output_uri=OUTPUT, collect=collect, **fields)
        self.store = store or MemoryStore(MemorySpace())
        self.supervisor = Supervisor(2.0)
        self.ledger = Ledger(self.spec, None, LogSettings(stream=None, format=LogFormat.JSON))
        self.output = StoredOutput(self.spec, lambda _: self.store, self.supervisor, self.ledger)
        self.output.await_turn(look_at_output(self.output.places, lambda _: self.store))
        self.output.claim()
        self.working = WorkingFiles(folder, self.spec)
        self.working.look()

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / name).write_text(text)

    def end(self, *reported: str) -> RunResult:
        self.ledger.change(state=RunState.SUCCEEDED, exit_code=0)
        self.output.publish(b"{}", checkpointed=False)
        try:
            self.output.collect(self.working, reported, storing=True)
        finally:
            self.output.commit()
        return self.ledger.result

    def stored(self) -> dict[str, bytes]:
        return {stat.uri.removeprefix(PLACE): self.store.read(stat.uri).data for stat in self.store.list(PLACE)}

    def close(self) -> None:
        self.supervisor.close()
        self.ledger.close()


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Any]:
    made: list[Work] = []

    def begin(*collect: str, **options: Any) -> Work:
        tmp_path.joinpath("work").mkdir(exist_ok=True)
        made.append(Work(tmp_path / "work", *collect, **options))
        return made[-1]

    yield begin
    for work in made:
        work.close()


def test_what_the_patterns_take_is_stored_with_its_checksum_and_the_rest_is_named(begun: Any) -> None:
    work = begun("*.csv", "model/")
    work.write(**{"b.csv": "12", "a.csv": "1", "notes.txt": "123"})
    (work.folder / "model/in").mkdir(parents=True)
    (work.folder / "model/in/w.bin").write_bytes(b"\0" * 5)
    record = work.end()
    assert [(file.path, file.size) for file in record.files] == [("a.csv", 1), ("b.csv", 2), ("model/in/w.bin", 5)]
    assert record.files[0].checksum == "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    assert work.stored() == {"a.csv": b"1", "b.csv": b"12", "model/in/w.bin": b"\0" * 5}
    assert record.left_behind == LeftBehind(count=1, size=3, names=("notes.txt",))
    assert record.warnings == ()


def test_without_patterns_what_goes_with_the_runs_own_directory_is_named(begun: Any) -> None:
    work = begun()
    work.write(**{f"{number:03}": "x" for number in range(30)})
    (work.folder / "__pycache__").mkdir()
    (work.folder / "__pycache__/m.pyc").write_text("x")
    left = work.end().left_behind
    assert left is not None
    assert (left.count, left.size, len(left.names), left.names[0]) == (30, 30, 20, "000")


@pytest.mark.parametrize("early", [True, False])
def test_what_a_kernel_makes_in_its_home_is_nobodys_file(begun: Any, tmp_path: Path, early: bool) -> None:
    """A kernel that starts while the inputs are read makes it before the directory is looked at, or after."""
    profile = tmp_path / "work/.ipython/profile_default"
    if early:
        profile.mkdir(parents=True)
    work = begun()
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "README").write_text("x")
    work.write(**{"notes.txt": "x"})
    assert work.end().left_behind == LeftBehind(count=1, size=1, names=("notes.txt",))


def test_a_directory_of_somebody_elses_is_left_alone(begun: Any, tmp_path: Path) -> None:
    """Only what is asked for counts, and only if the notebook has written it."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work/mine.csv").write_text("mine")
    (tmp_path / "work/changed.csv").write_text("old")
    work = begun("*.csv")
    work.write(**{"new.csv": "n", "changed.csv": "new", "other.txt": "o"})
    record = work.end()
    assert [file.path for file in record.files] == ["changed.csv", "new.csv"]
    assert record.left_behind is None


def test_declared_files_are_not_the_notebooks(begun: Any, tmp_path: Path) -> None:
    (tmp_path / "work/data").mkdir(parents=True)
    (tmp_path / "work/data/in.csv").write_text("in")
    declared = (InputFile(path="data/in.csv", uri="memory://x/in.csv", checksum=""),)
    work = begun("**/*.csv", files=declared)
    work.write(**{"out.csv": "out"})
    record = work.end()
    assert ([file.path for file in record.files], record.left_behind) == (["out.csv"], None)


@pytest.mark.fault(74)
def test_what_is_no_plain_file_of_the_working_directory_is_refused_and_told(begun: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    work = begun("*", "**/*")
    (work.folder / "link").symlink_to(tmp_path / "secret")
    (work.folder / "folder").symlink_to(tmp_path)
    os.mkfifo(work.folder / "pipe")
    (work.folder / "bad\nname").write_text("x")
    work.write(fine="x")
    record = work.end()
    assert work.stored() == {"fine": b"x"}
    assert len(record.warnings) == 4
    assert "'link' is not collected: it is a link" in record.warnings


@pytest.mark.fault(74)
@pytest.mark.parametrize("name", ["{0} 100%", "a?b#c", "x::y", "a:b", "é 漢 🎉", "...", "50%20", "-rf *", 'a"b<c>|'])
def test_odd_names_are_stored_so_that_they_are_found_again(begun: Any, name: str) -> None:
    work = begun("*", "...")
    work.write(**{name: "x"})
    (file,) = work.end().files
    (stored,) = work.stored().values()
    assert (file.path, stored) == (name, b"x")


@pytest.mark.fault(74)
@pytest.mark.parametrize("before", [True, False], ids=["lost+found", "closed by the notebook"])
def test_a_folder_that_is_closed_to_us_hides_nothing_beside_it(
    begun: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: bool
) -> None:
    """Root may read everything, so the system's answer is made here. What was closed before is not the notebook's."""
    disks.close(monkeypatch, "closed")
    (tmp_path / "work").mkdir()
    if before:
        (tmp_path / "work/closed").mkdir()
    work = begun("**/*.csv")
    (work.folder / "closed").mkdir(exist_ok=True)
    work.write(**{"a.csv": "1"})
    record = work.end()
    assert work.stored() == {"a.csv": b"1"}
    assert record.warnings == (() if before else ("'closed' is not collected: permission denied",))


def test_what_the_run_keeps_beside_its_output_is_not_collected(tmp_path: Path) -> None:
    output = tmp_path / "out.ipynb"
    spec = RunSpec(run_id="r", input_uri="in.ipynb", output_uri=str(output), collect=("**/*",))
    working = WorkingFiles(tmp_path, spec)
    working.look()
    for folder in OWN_FOLDERS:
        (tmp_path / f"out{folder}").mkdir()
        (tmp_path / f"out{folder}" / "kept").write_text("ours")
    (tmp_path / "model").write_text("theirs")
    assert [file.path for file in working.written(()).wanted] == ["model"]


@pytest.mark.fault(74)
def test_a_name_that_no_store_takes_is_told(begun: Any) -> None:
    work = begun("*")
    work.write(**{"%2e%2e": "x", "fine": "x"})
    record = work.end()
    assert [file.path for file in record.files] == ["fine"]
    assert record.left_behind == LeftBehind(count=1, size=1, names=("%2e%2e",))
    assert "'%2e%2e' is not collected" in record.warnings[0]


@pytest.mark.fault(74)
def test_a_reported_path_is_collected_only_from_the_working_directory(begun: Any, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    work = begun()
    work.write(**{"plot[1].png": "p", "plot1.png": "q"})
    (work.folder / "way").symlink_to(tmp_path)
    (work.folder / "model").mkdir()
    (work.folder / "model/w").write_text("w")
    outside = [str(tmp_path / "secret"), "../secret", "/", str(work.folder), "way/secret"]
    record = work.end(str(work.folder / "plot[1].png"), "model", "gone", *outside)
    assert [file.path for file in record.files] == ["model/w", "plot[1].png"]
    assert record.left_behind == LeftBehind(count=1, size=1, names=("plot1.png",))
    assert [warning for warning in record.warnings if "outside" in warning or "not there" in warning] != []
    assert b"secret" not in work.stored().values()


@pytest.mark.fault(75)
@pytest.mark.parametrize("error", [StorageUnavailableError, StorageDeniedError])
def test_what_the_store_does_not_take_is_an_error_and_the_record_says_what_is_there(
    begun: Any, error: type[Exception]
) -> None:
    """The smallest first: what was stored until then stays."""
    store = FaultyStore(
        MemoryStore(MemorySpace()), [Fault(operation="write", suffix="out.files/large", error=error("no room"))]
    )
    work = begun("*", store=store)
    work.write(large="12345", small="1")
    with pytest.raises(error):
        work.end()
    assert [file.path for file in work.ledger.result.files] == ["small"]
    assert work.ledger.result.left_behind == LeftBehind(count=1, size=5, names=("large",))


class MeetingStore(MemoryStore):
    """Takes each file only while others are on their way too."""

    def __init__(self) -> None:
        super().__init__(MemorySpace())
        self.meeting = threading.Barrier(AT_ONCE)

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        if uri.startswith(PLACE):
            self.meeting.wait(120)
        return super().write(uri, data, if_version=if_version)


def test_several_files_are_on_their_way_at_once(begun: Any) -> None:
    work = begun("*", store=MeetingStore())
    files = {f"{number:02}": "x" * number for number in range(2 * AT_ONCE)}
    work.write(**files)
    assert [file.path for file in work.end().files] == sorted(files)
    assert work.stored() == {name: text.encode() for name, text in files.items()}


@pytest.mark.fault(75)
def test_what_was_on_its_way_with_a_file_that_failed_is_in_the_record(begun: Any) -> None:
    error = StorageUnavailableError("no room")
    store = FaultyStore(MemoryStore(MemorySpace()), [Fault(operation="write", suffix="out.files/small", error=error)])
    work = begun("*", store=store)
    work.write(small="1", large="12345")
    with pytest.raises(StorageUnavailableError):
        work.end()
    assert [file.path for file in work.ledger.result.files] == ["large"]
    assert work.stored() == {"large": b"12345"}
    assert work.ledger.result.left_behind == LeftBehind(count=1, size=1, names=("small",))


@pytest.mark.fault(76)
def test_a_file_that_does_not_fit_into_the_grace_period_is_left_and_the_record_is_in_time(begun: Any) -> None:
    hang = threading.Event()
    fault = Fault(operation="write", suffix="out.files/large", delay=60.0)

    def sleep(seconds: float) -> None:
        hang.wait(seconds)

    store = FaultyStore(MemoryStore(MemorySpace()), [fault], sleep=sleep)
    work = begun("*", store=store)
    work.write(large="12345", small="1")
    work.supervisor.abort(TerminatedError("stopped"))
    with pytest.raises(StorageUnavailableError, match="storing the collected files did not end within its share"):
        work.end()
    hang.set()
    assert [file.path for file in work.ledger.result.files] == ["small"]


def test_a_later_run_of_the_same_output_leaves_no_file_that_its_record_does_not_name(begun: Any) -> None:
    store = MemoryStore(MemorySpace())
    first = begun("*", store=store)
    first.write(a="1", b="2")
    first.end()
    (first.folder / "a").unlink()
    second = begun("*", store=store, force=True)
    second.write(b="3")
    assert [file.path for file in second.end().files] == ["b"]
    assert second.stored() == {"b": b"3"}


@pytest.mark.fault(67)
def test_a_run_that_has_lost_its_claim_removes_nothing_that_the_other_has_collected(begun: Any) -> None:
    """It wants nothing itself, and would only remove what earlier runs have left."""
    store = MemoryStore(MemorySpace())
    first = begun("*", store=store)
    first.write(a="1")
    first.end()
    (first.folder / "a").unlink()
    late = begun("*", store=store, force=True)
    store.write("memory://runs/out.result.json", b"another run's")
    with pytest.raises(OutputConflictError):
        late.output.collect(late.working, (), storing=True)
    assert late.stored() == {"a": b"1"}


def test_more_than_can_be_looked_at_is_told(begun: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    work = begun("*")
    work.write(a="", b="", c="")
    monkeypatch.setattr(working_files, "MOST_ENTRIES", 2)
    assert "holds more than 2 files and folders" in " ".join(work.end().warnings)


def test_a_pattern_that_takes_nothing_is_told(begun: Any) -> None:
    assert "no file that the notebook has written is stored by the pattern '*.csv'" in begun("*.csv").end().warnings
