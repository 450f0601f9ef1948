"""The pages in a real browser: signed in by the address, a hostile notebook in its frame, a form that acts."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from nbstep.profiles.storage import store_of
from nbstep_runner.contract import RunState, StorageOptions
from nbstep_runner.stores import sibling
from support import memory_runs
from support.service import TOKEN, config, listening

if TYPE_CHECKING:
    from pathlib import Path

    from support.browser import Browser

HOSTILE = """<html><body style="background:#eeeeee"><h1>A notebook</h1><img src="/v1/runs">
<script>
  document.body.append(" a script ran");
  try { parent.document.title = "owned"; top.location = "/owned"; } catch (error) {}
  fetch("/v1/runs").then(answer => answer.text()).then(text => { document.body.append(text); });
</script></body></html>"""
INNER = "return document.body.innerText"


@pytest.mark.fault(43)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_hostile_notebook_is_seen_and_reaches_nothing(
    browser: Browser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    theme: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = f"memory://{secrets.token_hex(4)}/runs"
    run = memory_runs.submit(runs=uri, run_id=f"train-{secrets.token_hex(4)}")
    backend = memory_runs.backend_of(run)
    backend.begin(run.handle)
    backend.log(run.handle, "epoch 1")
    page = sibling(run.output_uri, ".html")
    store_of(page, StorageOptions()).write(page, HOSTILE.encode())
    served = config(folders={"team": {"uri": uri, "profiles": ["small"]}}, profiles={"small": {"on": "memory"}})
    with listening(served) as (url, _):
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
