"""The pages, as a browser without scripts reads them."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from nbstep.profiles.storage import store_of
from nbstep_runner.contract import ATTEMPTS, VERDICT_ENDING, ErrorInfo, RunState, StorageOptions, encode
from nbstep_runner.stores import sibling
from support import memory_runs
from support.pages import BROWSER, HOSTILE, links, without_ours
from support.service import Service

if TYPE_CHECKING:
    from pathlib import Path

    from nbstep import Run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return memory_runs.submit(run_id=f"train-{secrets.token_hex(4)}", labels={"note": HOSTILE, "team": "a"})


def service_for(run: Run) -> Service:
    uri = run.output_uri.rpartition("/")[0].rpartition("/")[0]
    return Service.of(
        folders={"team": {"uri": uri, "profiles": ["small"]}, "other": {"uri": f"{uri}-2"}},
        profiles={"small": {"on": "memory"}},
    )


def test_runs_are_found_and_every_link_leads_somewhere(run: Run) -> None:
    service, backend = service_for(run), memory_runs.backend_of(run)
    backend.begin(run.handle)
    backend.log(run.handle, "epoch 1")
    backend.end(run.handle, results={"rmse": 0.29})
    listed = service.get("/", headers=BROWSER)
    assert run.id in listed.text
    assert "rmse=0.29" in listed.text
    shown = service.get(f"/runs/{run.id}?folder=team", headers=BROWSER)
    assert "epoch 1" in shown.text
    for answer in (listed, shown):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "<script" not in without_ours(answer.text)
        assert "'unsafe" not in answer.headers["content-security-policy"]
        assert "style=" not in answer.text
        for link in links(answer.text):
            assert link.startswith("/"), "something is fetched from elsewhere"
            assert service.get(link, headers=BROWSER).status_code == 200, link


def test_filters_stand_in_the_address_and_in_the_form(run: Run) -> None:
    service, backend = service_for(run), memory_runs.backend_of(run)
    backend.begin(run.handle)
    backend.end(run.handle)
    there = service.get("/?folder=team&state=succeeded&notebook=train&label=team%3Da", headers=BROWSER).text
    assert run.id in there
    assert "<option selected>succeeded</option>" in there
    assert 'value="team=a"' in there
    assert run.id not in service.get("/?state=failed", headers=BROWSER).text
    record = run.record()
    assert record is not None
    place = sibling(run.output_uri, ".result.json")
    store_of(place, StorageOptions()).write(place, encode(replace(record, started_at="2026-01-02T00:00:00+00:00")))
    assert run.id in service.get("/?since=2026-01-02", headers=BROWSER).text
    later = service.get("/?since=2099-01-02", headers=BROWSER).text
    assert 'value="2099-01-02"' in later
    assert run.id not in later
    wrong = service.get("/?state=done", headers=BROWSER)
    assert (wrong.status_code, wrong.headers["content-type"]) == (400, "text/html; charset=utf-8")


def test_older_runs_are_on_the_next_page(run: Run) -> None:
    service = service_for(run)
    uri = run.output_uri.rpartition("/")[0].rpartition("/")[0]
    for _ in range(2):
        memory_runs.submit(runs=uri, run_id=f"other-{secrets.token_hex(4)}")
    seen, address = "", "/?limit=1&folder=team"
    for _ in range(3):
        text = service.get(address, headers=BROWSER).text
        seen += text
        address = "/" + next((link for link in links(text) if "cursor=" in link), "")
    assert address == "/"
    assert seen.count('<th scope="row"') == 3
    assert run.id in seen


@pytest.mark.fault(43)
def test_what_a_notebook_says_is_text_on_every_page(run: Run) -> None:
    backend = memory_runs.backend_of(run)
    backend.begin(run.handle)
    backend.log(run.handle, HOSTILE)
    backend.end(run.handle, results={HOSTILE: HOSTILE})
    record = run.record()
    assert record is not None
    place = sibling(run.output_uri, ".result.json")
    forged = replace(record, parameters={HOSTILE: HOSTILE}, warnings=(HOSTILE,), started_at=HOSTILE, input_uri=HOSTILE)
    store_of(place, StorageOptions()).write(place, encode(forged))
    store_of(place, StorageOptions()).write(sibling(run.output_uri, ".html"), HOSTILE.encode())
    service = service_for(run)
    for path in ("/", f"/runs/{run.id}", f"/runs/{HOSTILE}", f"/?notebook={HOSTILE}", f"/?label={HOSTILE}"):
        text = service.get(path, headers=BROWSER).text
        assert "<script" not in without_ours(text)
        assert "<img" not in text
    assert '<iframe sandbox src="' in service.get(f"/runs/{run.id}", headers=BROWSER).text
    framed = service.get(f"/v1/runs/{run.id}/objects/output.html")
    assert framed.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


def test_a_run_is_cancelled_by_a_form_of_the_page(run: Run) -> None:
    service = service_for(run)
    memory_runs.backend_of(run).begin(run.handle)
    (action,) = (link for link in links(service.get(f"/runs/{run.id}", headers=BROWSER).text) if "cancel" in link)
    answer = service.post(action, headers={**BROWSER, "origin": service.base_url})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run.id}?folder=team")
    assert run.state is RunState.CANCELLED
    assert "cancel?" not in service.get(f"/runs/{run.id}", headers=BROWSER).text


def test_what_is_missing_is_said_on_a_page(run: Run) -> None:
    answer = service_for(run).get("/runs/nobodys", headers=BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "nobodys" in answer.text


def test_a_run_under_way_is_told_as_far_as_it_is(run: Run) -> None:
    service, backend = service_for(run), memory_runs.backend_of(run)
    before = service.get(f"/runs/{run.id}", headers=BROWSER).text
    assert 'data-last=""' in before
    backend.begin(run.handle)
    for index, state in ((0, "succeeded"), (3, HOSTILE), (4, "")):
        cell = {"index": index}
        backend.log(run.handle, "begins", event="cell-started", cell=cell, title=f"title {index}")
        if index == 0:
            backend.log(run.handle, "10 %", stream="stderr", progress=True, cell=cell)
            backend.log(run.handle, "100 %", stream="stderr", cell=cell)
            for text in ("one", "two <b>", "tail"):
                backend.log(run.handle, text, stream="stdout", partial=text == "tail", cell=cell)
            backend.log(run.handle, " \u202eend", stream="stdout", continues=True, cell=cell)
        if state:
            end = {"event": "cell-finished", "state": state, "seconds": 1.5, "title": f"title {index}"}
            backend.log(run.handle, "ends", cell={"index": index}, **end)
    text = service.get(f"/runs/{run.id}", headers=BROWSER).text
    cells = [re.sub("<[^>]*>", "|", row) for row in re.findall(r"<tr data-cell=.\d.*?</tr>", text, re.DOTALL)]
    assert [cell.replace("|", " ").split() for cell in cells] == [
        ["0", "title", "0", "one", "two", "&lt;b&gt;", "tail", "\\u202eend", "succeeded", "1.5", "s"],
        ["3", "title", "3", "running"],
        ["4", "title", "4", "running"],
    ]
    assert 'data-last="1-11"' in text
    assert f'data-events="/v1/runs/{run.id}/events?folder=team"' in text
    backend.end(run.handle)
    assert "data-last" not in service.get(f"/runs/{run.id}", headers=BROWSER).text


@pytest.mark.parametrize("name", ["run.py", "..%2Fpages.py", "%2e%2e/pages.py", "base.html", ""])
def test_only_what_pages_fetch_is_sent(run: Run, name: str) -> None:
    assert service_for(run).get(f"/static/{name}").status_code == 404


def test_a_log_is_searched_and_the_worst_of_it_shown(run: Run) -> None:
    service, backend = service_for(run), memory_runs.backend_of(run)
    backend.begin(run.handle)
    for number in range(300):
        backend.log(run.handle, f"Epoch {number}", severity="INFO")
    backend.log(run.handle, "the disk is nearly full", severity="WARNING")
    backend.log(run.handle, "it is full", severity="ERROR")

    def lines(query: str) -> list[str]:
        text = service.get(f"/runs/{run.id}?{query}", headers=BROWSER).text
        (log,) = re.findall(r'<pre id="log"[^>]*>(.*?)</pre>', text, re.DOTALL)
        return log.splitlines()

    assert len(lines("")) == 200
    assert [line.split()[-1] for line in lines("find=ePoch+29")] == ["29", *(f"29{each}" for each in range(10))]
    assert [line.split()[-1] for line in lines("severity=WARNING")] == ["full", "full"]
    assert len(lines("severity=ERROR&find=full")) == 1
    assert lines(f"severity={HOSTILE}&find={HOSTILE}") == []
    shown = service.get(f"/runs/{run.id}?find=nothing", headers=BROWSER).text
    assert "No line fits." in shown
    assert 'data-find="nothing"' in shown


def test_attempts_spec_and_record_are_there_to_read(run: Run) -> None:
    backend = memory_runs.backend_of(run)
    backend.begin(run.handle)
    backend.end(run.handle)
    newest = run.record()
    assert newest is not None
    store = store_of(run.output_uri, StorageOptions())
    error = ErrorInfo(reference="lost", message=f"the node went away {HOSTILE}")
    earlier = replace(newest, state=RunState.LOST, error=error, input_uri="https://submitter:word@host/train.ipynb")
    store.write(sibling(run.output_uri, f"{ATTEMPTS}/1{VERDICT_ENDING}"), encode(earlier))
    store.write(sibling(run.output_uri, ".result.json"), encode(replace(earlier, attempt=2)))
    text = service_for(run).get(f"/runs/{run.id}", headers=BROWSER).text
    rows = re.findall(r'<th scope="row">(\d)</th>\s*<td><span class="state (\w+)"', text)
    assert rows == [("1", "lost"), ("2", "lost")]
    assert text.count("the node went away") >= 2
    assert re.findall("<summary>(.*)</summary>", text) == ["Spec", "Record"]
    assert "submitter:word" not in text
    assert "<img" not in text


def test_runs_stand_side_by_side_and_what_differs_is_marked(run: Run) -> None:
    service, backend = service_for(run), memory_runs.backend_of(run)
    uri = run.output_uri.rpartition("/")[0].rpartition("/")[0]
    other = memory_runs.submit(runs=uri, run_id=f"other-{secrets.token_hex(4)}")
    waiting = memory_runs.submit(runs=uri, run_id=f"other-{secrets.token_hex(4)}")
    for each, results in ((run, {"rmse": 0.25, "same": 1}), (other, {"rmse": HOSTILE, "same": 1})):
        backend.begin(each.handle)
        backend.end(each.handle, results=results)
    listed = service.get("/", headers=BROWSER).text
    assert sorted(re.findall('name="run" value="([^"]*)"', listed)) == sorted([run.id, other.id, waiting.id])
    text = service.get(f"/compare?folder=team&run={run.id}&run={other.id}&run={run.id}", headers=BROWSER).text
    rows = {row.partition("</th>")[0].rpartition(">")[2]: row for row in text.split("<tr")[3:]}
    assert {"* results.rmse", "results.same"} <= set(rows)
    assert re.findall(r'class="state (\w+)"', text) == ["succeeded"] * 2
    assert "<img" not in text
    assert "* state" not in text
    unlike = service.get(f"/compare?run={run.id}&run={waiting.id}", headers=BROWSER).text
    assert "pending" in unlike
    assert "* state" in unlike
    assert "Choose two" in service.get(f"/compare?run={run.id}", headers=BROWSER).text
    address = quote(f"http://localhost:8000/runs/{other.id}?folder=team", safe="")
    for named in (f"team/{other.id}", address):
        anew = service.get(f"/compare?folder=team&run={run.id}&run={named}", headers=BROWSER).text
        assert re.findall(r'<th scope="col"><a[^>]*>([^<]*)', anew) == [run.id, other.id]
    (fewer,) = [link for link in links(text) if link.startswith("?") and other.id not in link]
    assert "Choose two" in service.get(f"/compare{fewer}", headers=BROWSER).text
    elsewhere, record = store_of(f"{uri}-2", StorageOptions()), other.record()
    assert record is not None
    elsewhere.write(f"{uri}-2/sweep/a=1/output.result.json", encode(record))
    both = service.get(f"/compare?folder=team&run={run.id}&run=other/sweep/a%3D1", headers=BROWSER).text
    assert re.findall(r'<th scope="col"><a[^>]*>([^<]*)', both) == [run.id, "a=1"]
    for link in links(both):
        if "/runs/" in link:
            assert service.get(link, headers=BROWSER).status_code == 200
    for path in (
        "/compare?run=http://[x/runs/y",
        "/compare?run=nobodys&run=other",
        f"/compare?folder=other&run={run.id}&run={other.id}",
        f"/compare?run={run.id}&run=nobodys/{other.id}",
        f"/compare?run={run.id}&run=team/../other/{other.id}",
    ):
        assert service.get(path, headers=BROWSER).status_code == 404


def test_runs_are_grouped_by_notebook_and_by_label(run: Run) -> None:
    service, backend = service_for(run), memory_runs.backend_of(run)
    uri = run.output_uri.rpartition("/")[0].rpartition("/")[0]
    backend.end(run.handle)
    for number in range(3):
        made = f"flights-20260102-12000{number}-{secrets.token_hex(3)}"
        other = memory_runs.submit(runs=uri, run_id=made, labels={"team": "a=b"})
        if number == 0:
            backend.end(other.handle, state=RunState.FAILED)

    def groups(by: str) -> dict[str, list[int]]:
        service.get("/", headers=BROWSER)  # which reads the records
        text = service.get(f"/groups?folder=team&by={by}", headers=BROWSER).text
        assert "<img" not in text
        found = {}
        for row in re.findall("<tr[^>]*>.*?</tr>", text, re.DOTALL)[1:]:
            link, latest = links(row)
            name, state, *counts, _ = re.findall(r"<t[hd][^>]*>(?:<(?:a|span)[^>]*>)?(.*?)(?:</.*)?</t[hd]>", row)
            found[unescape(name)] = [int(count) for count in counts]
            assert service.get(link, headers=BROWSER).text.count('<th scope="row"') == found[unescape(name)][0]
            assert state in service.get(latest, headers=BROWSER).text
            states.add((unescape(name), state, latest.partition("?")[0].removeprefix("/runs/")))
        return found

    states = set[tuple[str, str, str]]()
    assert groups("notebook") == {"flights": [3, 0, 1], run.id: [1, 1, 0]}
    assert groups("label") == {"team=a=b": [3, 0, 1], "team=a": [1, 1, 0], f"note={HOSTILE}": [1, 1, 0]}
    assert {
        ("flights", "pending", other.id),
        (run.id, "succeeded", run.id),
        ("team=a=b", "pending", other.id),
    } <= states
    backend.end(other.handle, state=RunState.FAILED)
    states.clear()
    assert groups("notebook")["flights"][0] == 3
    assert ("flights", "failed", other.id) in states
    assert service.get(f"/groups?by={HOSTILE}", headers=BROWSER).status_code == 400
