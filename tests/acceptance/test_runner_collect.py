"""``--collect``: files that the notebook writes come to rest beside its output, however the run ends."""

from __future__ import annotations

import base64
import signal
from pathlib import Path
from typing import Any

import pytest

from support.runs import run, start

WRITES = "open('a.csv', 'w').write('1')\nopen('b.txt', 'w').write('22')"
REPORTS_AT_ITS_END = """
import atexit
from pathlib import Path
from nbstep_runner import result
Path('c.bin').write_bytes(bytes(3))
atexit.register(result, 'last', Path('c.bin'))
"""
WAITS_AT_ITS_END = """
import atexit, time
from pathlib import Path
def wait():
    print('ending', flush=True)
    while not Path('go').exists():
        time.sleep(0.01)
atexit.register(wait)
"""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
PLOT = f"""
import base64
from pathlib import Path
from nbstep_runner import result
Path('loss.png').write_bytes(base64.b64decode('{PIXEL}'))
result('plot', Path('loss.png'))
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def options(work: Path) -> list[str]:
    return ["--cwd", str(work), "--collect", "*.csv"]


def files(record: dict[str, Any]) -> list[str]:
    return [file["path"] for file in record["files"]]


def test_a_success(tmp_path: Path, work: Path) -> None:
    done = run(tmp_path, [WRITES, REPORTS_AT_ITS_END], *options(work))
    assert (done.code, done.stderr, done.record["results"]) == (0, "", {"last": "c.bin"})
    assert files(done.record) == ["a.csv", "c.bin"]
    assert done.record["left_behind"] == {"count": 1, "size": 2, "names": ["b.txt"]}
    assert done.place.with_suffix(".files").joinpath("a.csv").read_text() == "1"
    assert sorted(path.name for path in done.place.with_suffix(".files").iterdir()) == ["a.csv", "c.bin"]


@pytest.mark.slow
def test_a_failure_and_a_dead_kernel(tmp_path: Path, work: Path) -> None:
    done = run(tmp_path, [WRITES, "1 / 0"], *options(work))
    assert (done.code, files(done.record)) == (10, ["a.csv"])
    done = run(tmp_path, [WRITES.replace("'1'", "'2'"), "import os\nos._exit(3)"], *options(work), "--force")
    assert (done.code, files(done.record)) == (12, ["a.csv"])
    assert done.place.with_suffix(".files").joinpath("a.csv").read_text() == "2"


@pytest.mark.fault(76)
def test_a_stop(tmp_path: Path, work: Path) -> None:
    cells = [WRITES, "print('begun', flush=True)\nimport time\ntime.sleep(60)"]
    with start(tmp_path, cells, *options(work)) as running:
        done = running.wait_for("begun").signal(signal.SIGTERM).finish(30)
    assert (done.code, done.stderr, files(done.record)) == (143, "", ["a.csv"])


@pytest.mark.fault(76)
def test_a_stop_at_short_notice_says_what_is_left_behind(tmp_path: Path, work: Path) -> None:
    cells = [WRITES, "print('begun', flush=True)\nimport time\ntime.sleep(60)"]
    with start(tmp_path, cells, *options(work), "--short-notice") as running:
        done = running.wait_for("begun").signal(signal.SIGTERM).finish(30)
    assert (done.code, files(done.record)) == (143, [])
    assert done.record["left_behind"]["names"] == ["a.csv", "b.txt"]


@pytest.mark.fault(75)
def test_a_place_that_takes_no_file_makes_no_success(tmp_path: Path, work: Path) -> None:
    tmp_path.joinpath("out.files").symlink_to("/sys")
    done = run(tmp_path, [WRITES], *options(work))
    assert (done.code, done.record["state"], done.states) == (77, "failed", ["succeeded"])
    assert (files(done.record), done.record["left_behind"]["names"]) == ([], ["a.csv", "b.txt"])


@pytest.mark.fault(75)
def test_the_same_where_a_stop_comes_when_all_cells_have_succeeded(tmp_path: Path, work: Path) -> None:
    """Notebook and record agree."""
    tmp_path.joinpath("out.files").symlink_to("/sys")
    with start(tmp_path, [WRITES, WAITS_AT_ITS_END], *options(work)) as running:
        running.wait_for("ending", 120).signal(signal.SIGTERM)
        work.joinpath("go").touch()
        done = running.finish(120)
    assert (done.code, done.record["state"], done.notebook.metadata.nbstep.state) == (77, "failed", "failed")


@pytest.mark.slow
def test_a_picture_as_a_result_is_shown_and_stored(tmp_path: Path, work: Path) -> None:
    done = run(tmp_path, [PLOT], "--cwd", str(work), "--html")
    assert (done.code, files(done.record)) == (0, ["loss.png"])
    assert done.record["results"] == {"plot": "loss.png"}
    (output,) = done.cells[0].outputs
    assert output.data["image/png"].strip() == PIXEL
    assert done.place.with_suffix(".files").joinpath("loss.png").read_bytes() == base64.b64decode(PIXEL)


def test_a_path_to_nothing_fails_its_cell(tmp_path: Path, work: Path) -> None:
    source = "from pathlib import Path\nfrom nbstep_runner import result\nresult('plot', Path('gone.png'))"
    done = run(tmp_path, [source], "--cwd", str(work))
    assert (done.code, done.error["exception_name"]) == (10, "FileNotFoundError")


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["/etc/*", "../*.csv", ""])
def test_a_pattern_that_leaves_the_working_directory_runs_nothing(tmp_path: Path, pattern: str) -> None:
    done = run(tmp_path, ["print('never')"], "--collect", pattern)
    assert done.code == 65
    assert "files cannot be collected by" in done.error["message"]
    assert "never" not in done.stdout
