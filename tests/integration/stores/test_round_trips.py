"""How often a run waits for its storage: each time costs a round trip."""

from __future__ import annotations

import os
import re
import time
from itertools import groupby
from pathlib import Path

from nbstep_runner.session.claim import HEARTBEATS, LEASE_SECONDS
from servers.faultproxy import Seen
from servers.places import Place
from support import notebooks, processes
from support.runs import RUNNER, Running

PATIENCE = 120.0
KNOWN = {"NBSTEP_CONDITIONAL_WRITES": "yes"}
"""As of Amazon's own servers: what is found out of others takes two requests more."""
AT_ONCE = 4
"""The notebook, the record of an earlier run, the output's version, and the claim."""
AT_ITS_END = [".result.json", ".ipynb", ".result.json", ".log.jsonl"]
"""The claim confirmed, the notebook, the record, and the log with the verdict."""


def test_a_run_waits_once_while_its_kernel_starts_and_four_times_at_its_end(cloud: Place, tmp_path: Path) -> None:
    source = notebooks.write(tmp_path / "in.ipynb", ["a = 1", "print(a)", "a + 1"])
    cloud.put(source.read_bytes(), "in.ipynb")
    proxy = cloud.proxy
    proxy.seen.clear()
    proxy.open.clear()
    command = [*RUNNER, f"{cloud.folder}in.ipynb", f"{cloud.folder}out.ipynb", "--autosave-cell-every", "0"]
    with Running(command, tmp_path / "nothing-here", env={**os.environ, **KNOWN}) as running:
        assert processes.until(lambda: len(proxy.seen) >= AT_ONCE, PATIENCE), proxy.seen
        assert processes.until(lambda: _starts_a_kernel(running), PATIENCE), running.shown
        connections = proxy.connections
        began = time.monotonic()
        proxy.open.set()
        assert running.process.wait(PATIENCE) == 0, running.shown
        took = time.monotonic() - began
    waited_for = [_ending(seen) for seen in proxy.seen[AT_ONCE:]]
    heartbeats = int(took // (LEASE_SECONDS / HEARTBEATS))
    assert [name for name, _ in groupby(waited_for)] == AT_ITS_END
    assert len(waited_for) <= len(AT_ITS_END) + heartbeats
    assert connections == AT_ONCE
    assert proxy.connections == connections


def _starts_a_kernel(running: Running) -> bool:
    return any("connection.json" in processes.command_of(pid) for pid in processes.marked(running.mark))


def _ending(request: Seen) -> str:
    """What the object's name ends with; an upload to ``gs://`` has the name in its body."""
    found = re.search(r"\.result\.json|\.log\.jsonl|\.ipynb", request.path + request.head.decode(errors="replace"))
    return found[0] if found else request.path
