"""Pictures of the service's pages: ``python docs/images/make_service.py [FOLDER]``, with Chromium and its driver.

A folder of runs in memory is written from data that stands here, an endpoint is served, and each page is shown in a
light and in a dark theme, side by side.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import nbstep
from nbstep.profiles.storage import store_of
from nbstep.sweeps.sets import set_name
from nbstep_runner.contract import CellRecord, CellState, ErrorInfo, RunResult, RunState, StorageOptions, encode

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support import notebooks  # noqa: E402 - the tests' own
from support.browser import Browser, driven  # noqa: E402 - as above
from support.service import TOKEN, config, listening  # noqa: E402 - as above

WIDTH = 960
RUNS, NOTEBOOKS = "memory://flights/runs", "memory://flights/notebooks"
SIGNATURE = """from typing import Literal
year: int = 2025  # of the flights
rate: float = 0.1  # how fast it learns
model: Literal["forest", "linear"] = "forest"
quick: bool = False  # a tenth of the flights
token: str = ""  # of the registry that the model goes to
columns: list[str] = ["distance", "carrier"]
"""
SERVED = "from nbstep_runner import serve\n\n@serve\ndef read(pixels: list[float]) -> int:\n    return 4"
CELLS = ("Parameters", "Read the flights", "Features", "Train the model", "Evaluate", "Save the model")
RUN_ID = "flights-20260102-120001-0c2e8a"
EARLIER = tuple(
    f"flights-20260102-{ending}"
    for ending in ("050001-4410aa", "060002-1b7e90", "101533-d2210f", "110020-9e01c4", "114210-77ab01")
)
LINES = (
    {"event": "cell-started", "title": "Train the model", "message": "cell 3 started: Train the model"},
    {"severity": "WARNING", "message": "1204 flights have no distance: they are left out"},
    {"stream": "stdout", "message": "200 trees: rmse 0.291"},
    {"event": "cell-finished", "state": "succeeded", "message": "cell 3 succeeded"},
)


@dataclass(frozen=True)
class Picture:
    """A page, and how much of it is shown.

    Attributes:
        then: What is done on the page before its picture is taken.
    """

    path: str
    height: int
    then: str = ""


PICTURES = {
    "service-runs.png": Picture("/", 560),
    "service-run.png": Picture(f"/runs/{RUN_ID}", 1200),
    "service-submit.png": Picture("/submit", 420),
    "service-form.png": Picture(
        f"/submit?notebook={NOTEBOOKS}/flights.ipynb&profile=large", 970,
        "document.getElementById('parameter.rate').value = 'fast'; document.querySelector('.main').click()",
    ),
    "service-sweep.png": Picture("/sweeps/forest", 900),
    "service-compare.png": Picture(f"/compare?run={RUN_ID}&run=flights-20260102-114210-77ab01", 490),
    "service-endpoints.png": Picture("/endpoints", 260),
}  # fmt: skip


def put(name: str, data: bytes) -> None:
    """Write an object below the folder of runs."""
    store_of(RUNS, StorageOptions()).write(f"{RUNS}/{name}", data)


def record(run_id: str, state: RunState, started_at: str, seconds: float) -> RunResult:
    """A run's record, with the cells that it came to."""
    failed = state is RunState.FAILED
    states = [CellState.SUCCEEDED] * 3 + (
        [CellState.FAILED, CellState.NOT_RUN, CellState.NOT_RUN] if failed else [CellState.SUCCEEDED] * 3
    )
    cells = tuple(
        CellRecord(
            index=index, id=None, state=each, title=title, execution_count=index + 1,
            seconds=None if each is CellState.NOT_RUN else 0.4 + index,
        )
        for index, (title, each) in enumerate(zip(CELLS, states, strict=True))
    )  # fmt: skip
    error = ErrorInfo(reference="out-of-memory", message="the kernel was killed for memory") if failed else None
    return RunResult(
        run_id=run_id, attempt=1, spec_digest="", state=state, input_uri="flights.ipynb", output_uri="",
        started_at=started_at, seconds=seconds, cells=cells, error=error, log_uri="output.log.jsonl",
    )  # fmt: skip


def write_runs() -> None:
    """Runs that ended well and badly, the newest of which has left a log, and a sweep."""
    for number, run_id in enumerate(EARLIER):
        failed = number == 2
        clock = run_id.split("-")[2]
        ended = record(
            run_id, RunState.FAILED if failed else RunState.SUCCEEDED,
            f"2026-01-02T{clock[:2]}:{clock[2:4]}:10+00:00", 24.0 + number,
        )  # fmt: skip
        given = replace(
            ended,
            parameters={"year": 2021 + number, "rate": 0.1},
            results={} if failed else {"rmse": round(0.35 - number / 100, 3), "rows": 40054 + number * 300},
            labels={"nbstep/submitted-by": "nightly" if number < 2 else "analysts"},
        )
        put(f"{run_id}/output.result.json", encode(given))
    newest = replace(
        record(RUN_ID, RunState.SUCCEEDED, "2026-01-02T12:00:01+00:00", 31.2),
        parameters={"year": 2025, "rate": 0.3},
        results={"rmse": 0.291, "rows": 41254},
        labels={"nbstep/submitted-by": "delays", "team": "delays"},
    )
    put(f"{RUN_ID}/output.result.json", encode(newest))
    lines = [
        {"severity": "INFO", "cell": {"index": 3}, "time": f"2026-01-02T12:00:{12 + number}.250Z", "seq": number + 1}
        | line
        for number, line in enumerate(LINES)
    ]
    put(f"{RUN_ID}/output.log.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    for number, (rate, trees) in enumerate((rate, trees) for rate in (0.01, 0.1, 0.3) for trees in (50, 100, 200)):
        values, failed = {"rate": rate, "trees": trees}, number == 2
        state = RunState.FAILED if failed else RunState.SUCCEEDED
        found = replace(
            record("r", state, "2026-01-02T12:00:01+00:00", 4 + trees / 40),
            parameters={**values, "year": 2025},
            results={} if failed else {"rmse": round(0.42 - rate / 2 - trees / 3000 + (number % 3) * 0.004, 3)},
        )
        put(f"forest/{set_name(values)}/output.result.json", encode(found))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server with these runs, a notebook to choose, and an endpoint."""
    write_runs()
    cells: list[notebooks.Cell] = [notebooks.Code(SIGNATURE, tags=("parameters",)), "1"]
    notebook = json.dumps(notebooks.notebook(cells)).encode()
    store_of(NOTEBOOKS, StorageOptions()).write(f"{NOTEBOOKS}/flights.ipynb", notebook)
    document = config(
        folders={
            "flights": {"uri": RUNS, "profiles": ["small", "large"]},
            "digits": {"uri": str(folder / "runs"), "profiles": ["here"]},
        },
        notebooks=[NOTEBOOKS],
        profiles={
            "here": {"on": "local"},
            "small": {"on": "memory"},
            "large": {
                "on": "memory", "resources": {"memory": "8Gi"}, "open": ["resources.memory", "resources.gpu", "retries"]
            },
        },
    )  # fmt: skip
    endpoint = nbstep.serve(notebooks.write(folder / "digits.ipynb", [SERVED]), name="digits", runs=folder / "runs")
    try:
        with listening(document) as (url, _):
            yield url
    finally:
        endpoint.delete()


def resized(browser: Browser, width: int, height: int) -> None:
    """Make the page this large, without scroll bars."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    for command, parameters in (("setDeviceMetricsOverride", size), ("setScrollbarsHidden", {"hidden": True})):
        browser("POST", "/goog/cdp/execute", {"cmd": f"Emulation.{command}", "params": parameters})


def shown(browser: Browser, url: str, picture: Picture, theme: str) -> bytes:
    """A page as a PNG."""
    resized(browser, WIDTH, picture.height)
    folder = "digits" if picture.path == "/endpoints" else "flights"
    joint = "&" if "?" in picture.path else "?"
    browser.show(f"{url}{picture.path}{joint}folder={folder}&token={TOKEN}", theme)
    if picture.then:
        browser.script(picture.then)
        browser.until("return document.querySelector('.alert')")
    return base64.b64decode(browser("GET", "/screenshot"))


def main(folder: Path) -> None:
    """Draw every picture into a folder."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        with served(scratch) as url, driven(scratch / "profile") as browser:
            for file, picture in PICTURES.items():
                both = [shown(browser, url, picture, theme) for theme in ("light", "dark")]
                urls = [f"data:image/png;base64,{base64.b64encode(each).decode()}" for each in both]
                page = scratch / "both.html"
                page.write_text(
                    "<style>body{margin:0;display:flex}</style>" + "".join(f'<img src="{each}">' for each in urls)
                )
                resized(browser, 2 * WIDTH, picture.height)
                browser.show(page)
                (folder / file).write_bytes(base64.b64decode(browser("GET", "/screenshot")))


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else ROOT / "docs/images")
