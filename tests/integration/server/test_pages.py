"""The pages in a real browser: signed in by the address, a hostile notebook in its frame, a form, live runs."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from nbstep.profiles.storage import store_of
from nbstep.server.following import Streams
from nbstep.server.team.service import team
from nbstep_runner.contract import RunState, StorageOptions, encode
from nbstep_runner.stores import sibling
from support import memory_runs, notebooks
from support.browser import ENTER, SHIFT, TAB
from support.service import TOKEN, config, listening, serving

if TYPE_CHECKING:
    from pathlib import Path

    from nbstep import Run
    from nbstep.server.config import Config
    from support.browser import Browser

HOSTILE = """<html><body style="background:#eeeeee"><h1>A notebook</h1><img src="/v1/runs">
<script>
  document.body.append(" a script ran");
  try { parent.document.title = "owned"; top.location = "/owned"; } catch (error) {}
  fetch("/v1/runs").then(answer => answer.text()).then(text => { document.body.append(text); });
</script></body></html>"""
INNER = "return document.body.innerText"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run under way."""
    monkeypatch.chdir(tmp_path)
    submitted = memory_runs.submit(run_id=f"train-{secrets.token_hex(4)}")
    memory_runs.backend_of(submitted).begin(submitted.handle)
    return submitted


def runs_of(run: Run) -> str:
    """The folder of all runs."""
    return run.output_uri.rpartition("/")[0].rpartition("/")[0]


def config_for(run: Run) -> Config:
    return config(folders={"team": {"uri": runs_of(run), "profiles": ["small"]}}, profiles={"small": {"on": "memory"}})


@pytest.mark.fault(43)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_hostile_notebook_is_seen_and_reaches_nothing(browser: Browser, run: Run, theme: str) -> None:
    memory_runs.backend_of(run).log(run.handle, "epoch 1")
    page = sibling(run.output_uri, ".html")
    store_of(page, StorageOptions()).write(page, HOSTILE.encode())
    with listening(config_for(run)) as (url, _):
        browser.show(f"{url}/?token={TOKEN}", theme)
        assert browser.script("return location.href") == f"{url}/", "the token stays in the address"
        assert browser.barriers() == []
        browser.script("document.querySelector('tbody a').click()")
        browser.until("return document.querySelector('iframe')")
        assert browser.barriers() == []
        title = browser.script("return document.title")

        frame = browser("POST", "/element", {"using": "css selector", "value": "iframe"})
        browser("POST", "/frame", {"id": frame})
        assert browser.until(INNER) == "A notebook"
        browser("POST", "/frame", {"id": None})
        assert browser.script("return document.title") == title

        browser.script("document.querySelector('form button').click()")
        browser.until("return document.querySelector('.state').textContent == 'cancelled'")
        assert run.state is RunState.CANCELLED


def texts(browser: Browser, selector: str) -> list[str]:
    found: list[str] = browser.script(
        "return [...document.querySelectorAll(arguments[0])].map(each => each.innerText.trim())", selector
    )
    return found


def check_readable(browser: Browser) -> None:
    """Whether everybody can read and use the page, in both themes, on a screen and on a phone."""
    for theme in ("dark", "light"):
        browser.prefer(theme)
        assert browser.barriers() == []
    assert browser.fits(360)
    assert browser.fits(1200)


def check_list_is_followed(browser: Browser, url: str, run: Run) -> None:
    """The list is kept up to date: what is the same stays, and the keyboard is where it was."""
    backend = memory_runs.backend_of(run)
    browser.show(f"{url}/")
    browser.until("return document.querySelectorAll('.state.succeeded').length == 1")
    browser.script("window.kept = true; window.table = document.querySelector('table')")
    asked = "performance.getEntriesByType('resource').filter(each => each.initiatorType == 'fetch').length"
    before = browser.script(f"return {asked}")
    browser.until(f"return {asked} > {before + 1}")  # what came of the first has been put in place
    assert browser.script("return document.contains(window.table)"), "what is the same was replaced"
    browser.script("document.querySelector('tbody a').focus()")
    newer = memory_runs.submit(runs=runs_of(run), run_id=f"other-{secrets.token_hex(4)}")
    browser.until(f"return document.querySelector('tbody').innerText.includes('{newer.id}')")
    assert browser.script("return document.activeElement.innerText") == run.id
    browser.script("document.querySelector('.scroll').focus()")
    backend.begin(newer.handle)
    backend.end(newer.handle)
    browser.until("return document.querySelectorAll('.state.succeeded').length == 2")
    assert browser.script("return [window.kept, document.activeElement.className]") == [True, "scroll"]


def test_a_run_is_followed_on_its_page_and_in_the_list(browser: Browser, run: Run) -> None:
    """All of it without a reload until the run ends, and each line once: a mark on the window tells reloads."""
    backend = memory_runs.backend_of(run)
    backend.log(run.handle, "cell 0 started", event="cell-started", cell={"index": 0}, title="fit()")
    with listening(config_for(run)) as (url, _):
        browser.show(f"{url}/runs/{run.id}?token={TOKEN}")
        browser.script("window.kept = true")
        backend.log(run.handle, "50 %", stream="stderr", progress=True, cell={"index": 0})
        browser.until("return document.querySelector('.said').textContent == '50 %'")
        assert texts(browser, "#cells td") == ["fit()\n50 %", "running", ""]
        hostile = "<img src=x onerror='document.title=1'>\u202e"
        backend.log(run.handle, hostile, time="2026-01-01T00:00:00Z", stream="stdout", cell={"index": 0})
        done = {"event": "cell-finished", "state": "succeeded", "seconds": 75.0, "title": "fit()"}
        backend.log(run.handle, "cell 0 succeeded", cell={"index": 0}, **done)
        backend.log(run.handle, "cell 2 started", event="cell-started", cell={"index": 2}, title="plot()")
        browser.until("return document.querySelectorAll('#cells tr').length == 2")
        browser.until("return document.querySelector('.said').textContent.includes('img')")
        said = f"fit()\n50 %\n{hostile[:-1]}\ufffd"
        assert texts(browser, "#cells td") == [said, "succeeded", "1 min 15 s", "plot()", "running", ""]
        browser.until("return document.getElementById('log').innerText.includes('cell 2 started')")
        (log,) = texts(browser, "#log")
        assert log.count("cell 0 started") == log.count("cell 2 started") == 1
        assert "[0] <img src=x onerror='document.title=1'>\ufffd" in log
        assert browser.script("return document.querySelectorAll('#log img').length") == 0
        assert browser.script("return window.kept"), "the page was loaded again"
        assert browser.barriers() == []

        browser.show(f"{url}/runs/{run.id}?severity=WARNING&find=DISK")
        for message, severity in (("a disk", "INFO"), ("no tape", "ERROR"), ("a full disk", "WARNING")):
            backend.log(run.handle, message, severity=severity)
        browser.until("return document.getElementById('log').innerText.includes('a full disk')")
        assert len(texts(browser, "#log")[0].splitlines()) == 1
        browser.script("window.kept = true")
        check_readable(browser)
        backend.end(run.handle, results={"rmse": 0.25})
        browser.until("return document.querySelector('.state').textContent == 'succeeded'")
        browser.until("return document.body.innerText.includes('rmse')")

        check_list_is_followed(browser, url, run)
        refused = [each for each in browser("POST", "/se/log", {"type": "browser"}) if "Security" in each["message"]]
        assert refused == []


def test_a_notebook_is_sent_and_started_by_forms(browser: Browser, tmp_path: Path) -> None:
    """What is wrong is said where it is, and read aloud with its field; who is signed out meanwhile loses nothing."""
    cells: list[notebooks.Cell] = [notebooks.Code("alpha: float = 0.5\nepochs: int", tags=("parameters",)), "alpha"]
    notebook = notebooks.write(tmp_path / "train.ipynb", cells)
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text(f"tokens: [{{name: submitter, sha256: {hashlib.sha256(TOKEN.encode()).hexdigest()}}}]")
    places = {"uri": f"memory://{secrets.token_hex(4)}/runs", "profiles": ["small"]}
    document = config(
        folders={"team": {**places, "readers": ["submitter"], "submitters": ["submitter"]}},
        profiles={"small": {"on": "memory", "open": ["resources", "kubernetes.node_selector"]}},
        access={"tokens": str(tokens)},
    )
    streams = Streams(document.limits.streams)
    with serving(team(document, streams), streams) as port:
        browser.show(f"http://127.0.0.1:{port}/submit")
        browser.type("[name=token]", f"{TOKEN}{ENTER}")
        browser.until("return document.getElementById('file')")
        check_readable(browser)
        browser.type("#file", str(notebook))
        browser.script("document.querySelector('main button').click()")
        browser.until("return document.querySelector('.main')")
        browser.script("document.getElementById('parameter.alpha').value = 'fast'")
        browser.script("document.querySelector('.main').click()")
        browser.until("return document.querySelector('.alert')")
        check_readable(browser)
        assert browser.script("return document.getElementById('parameter.alpha').value") == "fast"
        assert texts(browser, ".alert a") == ["alpha", "epochs"]
        described = "return document.getElementById(document.getElementById(arguments[0]).getAttribute(arguments[1]))"
        assert "fast" in browser.script(f"{described}.innerText", "parameter.alpha", "aria-describedby")
        browser.script("document.getElementById('parameter.alpha').value = '1'")
        browser("DELETE", "/cookie")
        browser.type("[id='parameter.epochs']", f"3{ENTER}")
        browser.until("return document.querySelector('[name=token]')")
        browser.type("[name=token]", f"{TOKEN}{ENTER}")
        browser.until("return location.pathname.startsWith('/runs/train-')")
        assert browser.script("return document.querySelector('.state').textContent") == "pending"


def test_runs_are_chosen_and_compared_and_sweeps_and_endpoints_are_looked_at(browser: Browser, run: Run) -> None:
    """What is chosen in the list stays so while the list keeps itself up to date."""
    backend = memory_runs.backend_of(run)
    backend.end(run.handle, results={"rmse": 0.25})
    other = memory_runs.submit(runs=runs_of(run), run_id=f"other-{secrets.token_hex(4)}")
    record = run.record()
    assert record is not None
    for number in range(4):
        place = f"{runs_of(run)}/lr/rate={number / 10}/output.result.json"
        left = replace(record, parameters={"rate": number / 10}, results={"rmse": number}, seconds=1.0)
        store_of(place, StorageOptions()).write(place, encode(left))
    last = f"{runs_of(run)}/lr/rate=0.4/output.result.json"
    ended = replace(record, parameters={"rate": 0.4}, results={"rmse": 4})
    store_of(last, StorageOptions()).write(last, encode(replace(ended, state=RunState.RUNNING, results={})))
    place = f"{runs_of(run)}/digits/endpoint.json"
    store_of(place, StorageOptions()).write(place, b"{}")
    with listening(config_for(run)) as (url, _):
        browser.show(f"{url}/?token={TOKEN}")
        browser.script("document.querySelectorAll('[name=run]').forEach(box => { box.checked = true; })")
        backend.end(other.handle)
        browser.until("return document.querySelectorAll('.state.succeeded').length == 2")
        check_readable(browser)
        browser.script("document.querySelector('#live button').click()")
        browser.until("return location.pathname == '/compare'")
        assert sorted(texts(browser, "thead a:first-child")) == sorted([run.id, other.id])
        check_readable(browser)
        browser.show(f"{url}/groups?by=label")
        check_readable(browser)
        browser.show(f"{url}/endpoints")
        assert texts(browser, "tbody th") == ["digits"]
        check_readable(browser)
        browser.show(f"{url}/sweeps")
        check_readable(browser)
        browser.script("document.querySelector('tbody a').click()")
        browser.until("return document.querySelectorAll('circle').length == 4")
        browser.script("window.kept = true")
        store_of(last, StorageOptions()).write(last, encode(ended))
        browser.until("return document.querySelectorAll('circle').length == 5")
        assert browser.script("return window.kept"), "the page was loaded again"
        assert texts(browser, "tbody th") == [f"rate={number / 10}" for number in range(5)]
        check_readable(browser)
        browser.script("[...document.querySelectorAll('thead a')].find(head => head.textContent == 'rate').click()")
        browser.until("return document.querySelector('[aria-sort]')")
        browser.script("document.querySelector('[aria-sort] a').click()")
        browser.until("return document.querySelector('[aria-sort=descending]')")
        assert texts(browser, "tbody th")[0] == "rate=0.4"


STOP = """
const here = document.activeElement, box = here.getBoundingClientRect(), style = getComputedStyle(here);
const seen = box.width > 0 && box.bottom > 0 && box.top < innerHeight;
return [here.matches(arguments[0]), seen && style.outlineStyle == "solid" && parseFloat(style.outlineWidth) >= 2,
  here.outerHTML.slice(0, 200)];
"""


def reach(browser: Browser, selector: str, *, back: bool = False) -> None:
    """Press Tab until the keyboard is there; on the way it can be seen at each stop where it is."""
    for _ in range(60):
        browser.press(TAB, holding=SHIFT if back else "")
        is_there, is_seen, element = browser.script(STOP, selector)
        assert is_seen, f"nobody sees that the keyboard is at {element}"
        if is_there:
            return
    raise AssertionError(f"the keyboard does not come to {selector}")


def test_all_is_reached_by_the_keyboard_alone(browser: Browser, run: Run) -> None:
    """From the list to a run, to a line of its log, and to the form that runs it again."""
    backend = memory_runs.backend_of(run)
    for line in ("epoch 1", "a disk"):
        backend.log(run.handle, line)
    backend.end(run.handle)
    loaded = "return document.readyState == 'complete' && location.href.includes"
    with listening(config_for(run)) as (url, _):
        browser.fits(1200)
        browser.show(f"{url}/?token={TOKEN}")
        reach(browser, ".skip")
        browser.press(ENTER)
        assert browser.script("return document.activeElement.id") == "main"
        reach(browser, "[name=notebook]")
        browser.press(*"train", ENTER)
        browser.until(f"{loaded}('notebook=train')")
        reach(browser, "tbody input")
        browser.press(" ")
        assert browser.script("return document.activeElement.checked")
        reach(browser, "tbody a")
        browser.press(ENTER)
        browser.until(f"{loaded}('/runs/train-')")
        reach(browser, "[name=find]")
        browser.press(*"disk", ENTER)
        browser.until(f"{loaded}('find=disk')")
        (log,) = texts(browser, "#log")
        assert len(log.splitlines()) == 1
        reach(browser, "a[href*=rerun]", back=True)
        browser.press(ENTER)
        browser.until(f"{loaded}('/rerun')")
        reach(browser, "#further")
        browser.press(*"n: 7")
        reach(browser, ".main")
        browser.press(" ")
        browser.until("return document.readyState == 'complete' && !location.href.includes('rerun')")
        assert texts(browser, "main .state") == ["pending"]
