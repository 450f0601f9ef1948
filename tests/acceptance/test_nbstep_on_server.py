"""Commands as typed with a profile that names a team's service: the same words, files and exit codes as anywhere."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from servers.ports import free_port
from support import notebooks
from support.processes import until

pytestmark = pytest.mark.usefixtures("own_state")

NBSTEP = Path(sys.executable).with_name("nbstep")
PATIENCE = 120
PRINTING: list[str | notebooks.Code] = [
    notebooks.Code("n: int = 3\nname: str = 'a'", tags=("parameters",)),
    """import time
from pathlib import Path
from nbstep_runner import result
for number in range(n):
    print('line', number, flush=True)
    time.sleep(0.02)
Path('table.csv').write_text('a,b')
result('table', Path('table.csv'))
result('name', name)""",
]


def nbstep(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([NBSTEP, *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE)


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Where the service will listen; the profile ``team`` names it, and its configuration lies beside it."""
    port = free_port()
    token = yaml.safe_load(nbstep("server", "--new-token").stdout)
    (tmp_path / "tokens.yaml").write_text(
        yaml.safe_dump({"tokens": [{"name": "submitter", "sha256": token["sha256"]}]})
    )
    rights = {"readers": ["submitter"], "submitters": ["submitter"]}
    config = {
        "folders": {"vision": {"uri": str(tmp_path / "runs"), "profiles": ["here"], **rights}},
        "profiles": {"here": {"on": "local", "open": ["retries"]}},
        "access": {"tokens": str(tmp_path / "tokens.yaml")},
        "url": f"http://127.0.0.1:{port}/nbstep",
    }
    (tmp_path / "server.yaml").write_text(yaml.safe_dump(config))
    place = {"url": config["url"], "folder": "vision", "token": {"secret": "env:TEAM_TOKEN"}}
    team = {"on": "server", "server": place, "storage": {"retry_seconds": PATIENCE}}
    (tmp_path / "profiles.yaml").write_text(yaml.safe_dump({"profiles": {"team": team}, "default": "team"}))
    monkeypatch.setenv("TEAM_TOKEN", token["token"])
    return port


@contextmanager
def service(port: int) -> Iterator[subprocess.Popen[str]]:
    """The command until the end of the block; its log is a file, which takes however much it says."""
    command: list[str | Path] = [NBSTEP, "server", "--config", "server.yaml", "--port", str(port)]
    log = Path("server.log")
    with log.open("w") as stderr, subprocess.Popen(command, stderr=stderr, text=True) as process:
        try:
            assert until(lambda: log.read_text().startswith("nbstep: serving at "), PATIENCE)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.fault(62)
def test_a_run_is_submitted_followed_across_a_killed_server_and_looked_at(tmp_path: Path, port: int) -> None:
    notebook, log = notebooks.write(tmp_path / "train.ipynb", PRINTING), tmp_path / "log"
    handle = f"server://127.0.0.1:{port}/nbstep/vision/first"
    submit: list[str | Path] = [NBSTEP, "submit", notebook, "-p", "n=150", "--run-id", "first", "--wait"]
    with ExitStack() as running:
        before = running.enter_context(service(port))
        with log.open("w") as stderr:
            submitted = subprocess.Popen(submit, stdout=subprocess.PIPE, stderr=stderr, text=True)
        assert until(lambda: "line 10\n" in log.read_text(), PATIENCE), log.read_text()
        before.kill()
        before.wait(PATIENCE)
        running.enter_context(service(port))
        out, _ = submitted.communicate(timeout=PATIENCE)
        assert (submitted.returncode, out) == (0, f"{handle}\n")
        assert re.findall(r"\] (line \d+)\n", log.read_text()) == [f"line {number}" for number in range(150)]

        status = nbstep("status", "first")
        assert (status.returncode, status.stderr) == (0, "")
        said, *places = status.stdout.splitlines()
        assert re.fullmatch(r"first: succeeded in [\d.]+ s", said)
        assert places == [f"  executed notebook: {handle}/output.ipynb", "  files: 1, listed by nbstep files first"]
        lines = [json.loads(line) for line in nbstep("logs", handle, "--json").stdout.splitlines()]
        assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
        listed = json.loads(nbstep("list", "--json").stdout)
        assert [(each["run_id"], each["results"]) for each in listed] == [
            ("first", {"table": "table.csv", "name": "a"})
        ]
        fetched = nbstep("files", "first", "--download", "here")
        assert (fetched.returncode, fetched.stdout, fetched.stderr) == (0, "           3  table.csv\n", "")
        assert (tmp_path / "here/table.csv").read_text() == "a,b"

        again = nbstep("rerun", "first", "-p", "name=12", "-p", "n=100000", "--run-id", "second")
        assert (again.returncode, again.stdout, again.stderr) == (0, handle.replace("first", "second") + "\n", "")
        followed = subprocess.Popen([NBSTEP, "logs", "-f", "second"], stdout=subprocess.PIPE, text=True)
        assert followed.stdout is not None
        assert any("line 0" in line for line in followed.stdout)
        cancelled = nbstep("cancel", "second", "--wait")
        assert (cancelled.returncode, cancelled.stderr) == (0, "")
        assert cancelled.stdout.startswith("second: cancelled\n")
        assert "run cancelled" in followed.communicate(timeout=PATIENCE)[0]
        record = json.loads(nbstep("status", "second", "--json").stdout)["record"]
        assert (record["parameters"], record["exit_code"]) == ({"n": 100000, "name": "12"}, 143)


@pytest.mark.slow
def test_what_a_service_refuses_is_said_in_two_lines(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = notebooks.write(tmp_path / "train.ipynb", PRINTING)

    def refused(*arguments: str | Path) -> tuple[int, str]:
        done = nbstep(*arguments)
        said, hint = done.stderr.splitlines()
        assert (done.stdout, bool(hint)) == ("", True)
        return done.returncode, said.removeprefix("nbstep: ")

    opened = "the profile here does not let a request set resources"
    with service(port):
        assert refused("submit", notebook, "--memory", "8Gi") == (77, opened)
        assert refused("status", "none") == (66, f"there is no run none below server://127.0.0.1:{port}/nbstep/vision")
        assert refused("logs", "server://elsewhere.example/vision/r") == (
            2,
            "no profile names the service of server://elsewhere.example/vision/r",
        )
        monkeypatch.setenv("TEAM_TOKEN", "another")
        code, said = refused("list")
        assert code == 77
        assert said.startswith(f"the service at http://127.0.0.1:{port}/nbstep refuses the request: ")
    assert refused("submit", notebook, "--set", "storage.retry_seconds=0.1")[0] == 75
