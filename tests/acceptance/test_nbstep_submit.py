"""Submitted runs as local processes, as people type it and as a launcher notebook calls it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import nbstep
from nbstep_runner.contract import RunState
from nbstep_runner.errors import BadInputError, CellFailedError, OutputConflictError, UsageError
from support import notebooks

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_state")]

NBSTEP = Path(sys.executable).with_name("nbstep")


def write(folder: Path, *sources: str) -> Path:
    return notebooks.write(folder / "train.ipynb", [notebooks.Code(sources[0], tags=("parameters",)), *sources[1:]])


def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([NBSTEP, *arguments], capture_output=True, text=True, check=False, timeout=60)


def submitted(*arguments: str) -> str:
    done = typed("submit", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_submit_status_logs_wait_list_open(tmp_path: Path) -> None:
    write(tmp_path, "n: int = 1", "print('n is', n)\nfrom nbstep_runner import result\nresult('n', n)")
    run = submitted("train.ipynb", "-p", "n", "7", "--label", "team=flights")
    assert re.fullmatch(r"local://[0-9a-f]{8}/train-\S+", run)

    done = typed("logs", "--follow", run)
    assert (done.returncode, done.stderr) == (0, "")
    assert "n is 7" in done.stdout
    done = typed("wait", run)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{run.rpartition('/')[2]}: succeeded\n", "")
    done = typed("status", run, "--json")
    told = json.loads(done.stdout)
    assert (told["state"], told["record"]["results"]) == ("succeeded", {"n": 7})
    (listed,) = json.loads(typed("list", "--json").stdout)
    assert (listed["run_id"], listed["labels"]) == (told["run_id"], {"team": "flights"})
    done = typed("open", "--print", run)
    assert (done.returncode, done.stderr) == (0, "")
    assert "n is 7" in Path(done.stdout.strip()).read_text()
    folder = tmp_path / "nbstep-runs" / told["run_id"]
    assert {path.name for path in folder.iterdir()} == {
        "input.ipynb",
        "params.yaml",
        "spec.json",
        "submission.json",
        "output.ipynb",
        "output.html",
        "output.result.json",
        "output.log.jsonl",
    }


def test_what_counts_as_a_failure_is_said_as_for_a_run_here(tmp_path: Path) -> None:
    write(tmp_path, "n = 1", "!false")
    options = ("--strict-shell", "--no-error-cells", "--allow-errors", "--skip-tag", "slow", "--html-allow", "scripts")
    done = typed("submit", "train.ipynb", "--run-id", "r", "--wait", *options)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "nbstep-runs" / "r"
    record, spec = (json.loads((folder / name).read_bytes()) for name in ("output.result.json", "spec.json"))
    assert [cell["state"] for cell in record["cells"]] == ["succeeded", "failed"]
    assert (spec["skip_tags"], spec["html_allow"], spec["error_cells"]) == (["slow"], "scripts", False)


def test_wait_ends_with_the_runs_code(tmp_path: Path) -> None:
    write(tmp_path, "n = 1", "raise ValueError('no')")
    done = typed("submit", "train.ipynb", "--wait")
    assert done.returncode == 10
    assert re.fullmatch(r"local://[0-9a-f]{8}/train-\S+\n", done.stdout)
    assert "ValueError: no" in done.stderr
    assert "Traceback" not in done.stderr.splitlines()[-1]


def test_cancel_saves(tmp_path: Path) -> None:
    write(tmp_path, "n = 1", "print('begun', flush=True)\nimport time\ntime.sleep(60)")
    run = nbstep.find(submitted("train.ipynb"))
    assert next(line for line in run.lines(follow=True) if line.stream).message == "begun"
    done = typed("cancel", "--wait", str(run))
    assert (done.returncode, done.stderr) == (0, "")
    assert "cancelled" in done.stdout
    assert "begun" in json.dumps(run.notebook())


def test_a_dry_run_prints_the_command_and_does_nothing(tmp_path: Path) -> None:
    write(tmp_path, "n = 1")
    done = typed("submit", "train.ipynb", "--dry-run", "--run-id", "dry")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--spec" in done.stdout
    assert not (tmp_path / "nbstep-runs").exists()
    assert not (tmp_path / "state").exists()


def test_a_dry_run_for_a_cluster_needs_no_cluster(tmp_path: Path) -> None:
    write(tmp_path, "n = 1")
    done = typed(
        *("submit", "train.ipynb", "--dry-run", "--run-id", "dry", "--on", "kubernetes", "--image", "example.org/i:1"),
        *("--runs", "s3://bucket/runs", "--set", "kubernetes.context=c", "--set", "kubernetes.namespace=flights"),
        *("--set", "kubernetes.claims={data: {read_only: true}}", "--memory", "1Gi"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    manifest = yaml.safe_load(done.stdout)
    assert (manifest["metadata"]["name"], manifest["metadata"]["namespace"]) == ("dry", "flights")
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    assert {"name": "claim-0", "mountPath": "/pvc/data", "readOnly": True} in container["volumeMounts"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["train.ipynb", "-p", "m", "1"], 65, "declares no such parameter"),
        (["missing.ipynb"], 66, "missing.ipynb"),
        (["train.ipynb", "--on", "cluster"], 2, "there is no backend 'cluster'"),
        (["train.ipynb", "--profile", "gpc"], 66, "there is no profile 'gpc'"),
        (["train.ipynb", "--run-id", "../x"], 2, "is refused"),
        (["train.ipynb", "--on", "kubernetes", "--image", "i"], 2, "a cluster cannot reach"),
        (["train.ipynb", "--file", "absent.csv"], 66, "absent.csv does not exist"),
        (["train.ipynb", "--set", "kubernetes.privileged=true"], 65, "unknown field `privileged`"),
    ],
)
def test_a_mistake_is_two_lines_and_nothing_is_written(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    write(tmp_path, "n = 1")
    done = typed("submit", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "nbstep-runs").exists()


def test_unknown_runs_are_66(tmp_path: Path) -> None:
    del tmp_path
    for name in ("local://nothing", "nothing"):
        done = typed("status", name)
        assert (done.returncode, done.stdout) == (66, "")


def test_the_call_of_a_launcher_notebook(tmp_path: Path) -> None:
    write(
        tmp_path,
        "rate: float = 0.1",
        "from helper import double\nfrom nbstep_runner import result\nresult('rmse', double(rate))",
    )
    (tmp_path / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    run = nbstep.submit("train.ipynb", {"rate": 0.25}, runs="runs", files=["helper.py"])
    result = run.wait()
    assert (result.state, result.results["rmse"], run.results["rmse"]) == (RunState.SUCCEEDED, 0.5, 0.5)
    assert [record.run_id for record in nbstep.history("runs")] == [run.id]


def test_a_run_that_its_place_has_forgotten_is_read_from_storage(tmp_path: Path) -> None:
    write(tmp_path, "n = 1", "print('kept')")
    run = nbstep.submit("train.ipynb", html=False)
    run.wait()
    shutil.rmtree(tmp_path / "state")
    for name in (run.id, str(run)):
        again = nbstep.find(name, runs="nbstep-runs")
        assert again.state is RunState.SUCCEEDED
        assert "kept" in [line.message for line in again.lines()]


def test_a_failed_run_raises_its_own_error(tmp_path: Path) -> None:
    write(tmp_path, "n = 1", "def f():\n    raise KeyError('flight')\nf()")
    with pytest.raises(CellFailedError, match="flight") as caught:
        nbstep.submit("train.ipynb").wait()
    assert "raise KeyError" in caught.value.__notes__[0]


def test_wrong_parameters_start_nothing(tmp_path: Path) -> None:
    write(tmp_path, "n: int = 1")
    with pytest.raises(BadInputError, match="n: "):
        nbstep.submit("train.ipynb", {"n": "many"})
    assert not (tmp_path / "nbstep-runs").exists()


def test_a_local_run_has_its_requirements_or_does_not_start(tmp_path: Path) -> None:
    write(tmp_path, "x = 1", "import click")
    (tmp_path / "requirements.txt").write_text("click>=8\nno-such-package==1.2\n")
    done = typed("submit", "train.ipynb", "--requirements", "requirements.txt")
    assert (done.returncode, done.stdout) == (65, "")
    first, second = done.stderr.splitlines()
    assert (
        first == "nbstep: this Python does not have what the notebook requires: no-such-package==1.2 is not installed"
    )
    assert second.endswith(" -m pip install --requirement requirements.txt")
    assert not (tmp_path / "nbstep-runs").exists()
    (tmp_path / "requirements.txt").write_text("click>=8\n")
    assert typed("wait", submitted("train.ipynb", "--requirements", "requirements.txt")).returncode == 0


def test_one_name_is_one_run(tmp_path: Path) -> None:
    write(tmp_path, "n: int = 1", "print('once')")
    first, second = (nbstep.submit("train.ipynb", run_id="one") for _ in range(2))
    assert str(first) == str(second)
    with pytest.raises(OutputConflictError, match="another run of this name"):
        nbstep.submit("train.ipynb", {"n": 2}, run_id="one")
    first.wait()
    assert [line.message for line in first.lines()].count("once") == 1


@pytest.mark.fault(26)
def test_the_launchers_death_does_not_harm_the_run(tmp_path: Path) -> None:
    write(tmp_path, "n = 1", "import time\ntime.sleep(2)\nprint('still here')")
    code = "import nbstep, time; print(nbstep.submit('train.ipynb', run_id='orphan'), flush=True); time.sleep(60)"
    launcher = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert launcher.stdout is not None
    handle = launcher.stdout.readline().strip()
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    run = nbstep.find(handle)
    assert run.wait(timeout=100).state is RunState.SUCCEEDED
    assert "still here" in [line.message for line in run.lines()]


@pytest.mark.fault(28)
def test_a_killed_runner_is_lost_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, "n = 1", "import time\ntime.sleep(60)")
    run = nbstep.submit("train.ipynb", run_id="killed")
    while run.record() is None:
        time.sleep(0.05)
    process = json.loads(next(tmp_path.glob("state/nbstep/local/killed.*/process.json")).read_text())
    os.kill(process["pid"], signal.SIGKILL)
    result = run.wait(timeout=100, check=False)
    assert (result.state, result.exit_code) == (RunState.LOST, 12)
    assert nbstep.find(str(run)).record() == result


def test_many_runs_are_awaited_together(tmp_path: Path) -> None:
    write(tmp_path, "n: int = 0", "from nbstep_runner import result\nresult('n', n)")

    async def all_of_them() -> list[int]:
        runs = [await nbstep.submit_async("train.ipynb", {"n": n}, html=False) for n in range(3)]
        results = await asyncio.gather(*(run.wait_async() for run in runs))
        return [result.results["n"] for result in results]

    assert asyncio.run(all_of_them()) == [0, 1, 2]


def test_jupyter_shows_a_run(tmp_path: Path) -> None:
    from nbstep.views.jupyter import Card

    write(tmp_path, "n = 1", "raise ValueError('<b>bold</b>')")
    run = nbstep.submit("train.ipynb")
    run.wait(check=False)
    card = Card(run.id, handle=run.handle, output_uri=run.output_uri)
    card.tell(run.status())
    shown = card.html()
    assert "failed" in shown
    assert "&lt;b&gt;bold" in shown
    assert "<b>bold" not in shown


def test_a_run_takes_place_in_the_folder_that_is_named(tmp_path: Path) -> None:
    write(tmp_path, "n = 1", "import os\nfrom nbstep_runner import result\nresult('here', os.getcwd())")
    (tmp_path / "project").mkdir()
    run = nbstep.submit("train.ipynb", working_directory="project", files={"lookup.csv": "profiles.yaml"})
    assert run.wait().results == {"here": str(tmp_path / "project")}
    assert (tmp_path / "project/lookup.csv").exists()
    with pytest.raises(UsageError, match=r"there is no folder .*/elsewhere to run in"):
        nbstep.submit("train.ipynb", working_directory="elsewhere")


def test_every_storage_option_of_a_profile_reaches_the_run(tmp_path: Path) -> None:
    write(tmp_path, "n = 1")
    (tmp_path / "profiles.yaml").write_text(
        "profiles: {careful: {storage: {conditional_writes: false, allow_private_addresses: true, retry_seconds: 5}}}\n"
    )
    run = submitted("train.ipynb", "--profile", "careful")
    done = typed("wait", run, "--profile", "careful")
    assert (done.returncode, done.stderr) == (0, "")
    storage = nbstep.find(run, profile="careful").spec().storage
    assert (storage.conditional_writes, storage.allow_private_addresses, storage.retry_seconds) == (False, True, 5.0)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_their_completion(shell: str) -> None:
    done = typed("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_NBSTEP_COMPLETE" in done.stdout


def test_one_id_in_two_folders_is_two_runs_at_once(tmp_path: Path) -> None:
    write(tmp_path, "n: int = 1", "import time\nfrom nbstep_runner import result\nresult('n', n)\ntime.sleep(600 * n)")
    first = nbstep.submit("train.ipynb", {"n": 1}, runs=tmp_path / "a", run_id="daily", html=False)
    assert nbstep.find("local://daily").handle == first.handle
    second = nbstep.submit("train.ipynb", {"n": 0}, runs=tmp_path / "b", run_id="daily", html=False)
    assert second.wait(120).results == {"n": 0}
    assert [record.results for record in nbstep.history(tmp_path / "b")] == [{"n": 0}]

    done = typed("cancel", "local://daily")
    assert (done.returncode, done.stdout) == (66, "")
    assert all(words in done.stderr for words in ("2 local runs", first.handle, second.handle, "a/daily", "b/daily"))
    assert nbstep.find("local://daily", runs=tmp_path / "b").results == {"n": 0}
    assert typed("cancel", "daily", "--runs", str(tmp_path / "a")).returncode == 0
    assert first.wait(120, check=False).state is RunState.CANCELLED


def test_an_id_is_free_again_once_its_run_is_deleted(tmp_path: Path) -> None:
    write(tmp_path, "n: int = 1", "from nbstep_runner import result\nresult('n', n)")
    for n in (1, 2):
        run = nbstep.submit("train.ipynb", {"n": n}, runs=tmp_path / "a", run_id="daily", html=False)
        assert run.wait(60).results == {"n": n}
        assert typed("delete", "daily", "--runs", str(tmp_path / "a")).returncode == 0


def test_runs_are_listed_and_compared(tmp_path: Path) -> None:
    write(tmp_path, "rate: float = 1.0", "from nbstep_runner import result\nresult('loss', rate * 2)")
    for name, rate, team in (("first", 0.5, "a"), ("second", 0.25, "b")):
        run = nbstep.submit("train.ipynb", {"rate": rate}, run_id=name, labels={"team": team}, html=False)
        run.wait(60)

    assert [line.split()[0] for line in typed("list").stdout.splitlines()] == ["RUN", "second", "first"]
    for filters in (("--label", "team=a"), ("--notebook", "fir"), ("--notebook", "f", "--since", "1h")):
        assert [line.split()[0] for line in typed("list", *filters).stdout.splitlines()] == ["RUN", "first"]
    assert typed("list", "--label", "team=c").stdout.splitlines()[1:] == []

    done = typed("compare", "first", "latest")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["first", "second"]
    assert ["*", "parameters.rate", "0.5", "0.25"] in lines
    assert ["*", "results.loss", "1.0", "0.5"] in lines
    assert ["state", "succeeded", "succeeded"] in lines
    told = {line["name"]: line for line in json.loads(typed("compare", "first", "second", "--json").stdout)}
    assert told["results.loss"] == {"name": "results.loss", "values": [1.0, 0.5], "differs": True}
    assert typed("compare", "first", "second", "--csv").stdout.startswith("run,first,second\n")
    done = typed("compare", "first")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Name two runs or more" in done.stderr


def test_an_executed_notebook_shows_as_a_page_in_a_frame(tmp_path: Path) -> None:
    path = write(tmp_path, "print('seen' * 2)")
    run = nbstep.run(path, tmp_path / "out.ipynb", progress_bar=False)
    notebook = run.notebook()
    assert "".join(notebook["cells"][-1]["outputs"][0]["text"]).strip() == "seenseen"
    shown = notebook._repr_html_()
    assert shown.startswith('<iframe sandbox title="Executed notebook" srcdoc="&lt;!DOCTYPE html&gt;')
    assert "seenseen" in shown
    assert "<script" not in shown


def test_the_files_of_a_run_come_back(tmp_path: Path) -> None:
    writes = (
        "Path('model').mkdir()\nPath('model/w').write_text('w')\nPath('a.csv').write_text('12')\nPath('b.txt').touch()"
    )
    source = f"from pathlib import Path\n{writes}"
    write(tmp_path, "n: int = 1", source)
    run = submitted("train.ipynb", "--collect", "*.csv", "--collect", "model/")
    assert typed("wait", run).returncode == 0
    done = typed("files", run, "--download", "here")
    listed = "           2  a.csv\n           1  model/w\n"
    left = "nbstep: left behind, 1 of 0 bytes: b.txt\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, listed, left)
    assert {str(path.relative_to("here")) for path in Path("here").rglob("*") if path.is_file()} == {"a.csv", "model/w"}
    done = typed("files", run, "--only", "*.csv", "--json")
    (told,) = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["path"], Path(told["uri"]).read_text()) == (0, "", "a.csv", "12")
    done = typed("files", run, "--only", "*.png")
    assert (done.returncode, done.stdout) == (65, "")
    assert done.stderr.startswith("nbstep: no collected file is taken by '*.png'\n")
    found = nbstep.find(run)
    assert [file.path for file in found.files()] == ["a.csv", "model/w"]
    assert found.download("there", only=["model/"]) == [Path("there/model/w")]
    done = typed("status", run)
    assert f"files: 2, listed by nbstep files {found.id}" in done.stdout


def test_what_is_collected_is_checked_before_anything_starts(tmp_path: Path) -> None:
    path = write(tmp_path, "n: int = 1")
    with pytest.raises(BadInputError, match=r"files cannot be collected by '\.\./x'"):
        nbstep.submit(path, collect=["../x"])
    assert not (tmp_path / "nbstep-runs").exists()
