"""Runs in a container that has as few rights as a cluster gives it; the faults are those that only a container has."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from servers.dockerd import Docker
from servers.gcs import GcsServer
from servers.s3 import S3Server
from support import notebooks, processes
from support.containers import FOLDER, Container, write
from support.notebooks import Code

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

Start = Callable[..., Container]
OUT = f"{FOLDER}/out.ipynb"
HOG = "data = bytearray(2**30)\nfor at in range(0, 2**30, 4096):\n    data[at] = 1"
ZOMBIES = """
states = []
for pid in filter(str.isdecimal, os.listdir('/proc')):
    try:
        states.append(open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[0])
    except OSError:
        pass
parent = open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1]
print(parent, 'Z' in states)
"""
FORKS = """
import os, time
try:
    while True:
        if os.fork() == 0:
            time.sleep(300)
except OSError as error:
    print('refused', error.errno)
    raise
"""
SIGTERM_CODE = 143
KILLED = 137


@pytest.fixture
def start(docker: Docker, image: str, work: Path) -> Iterator[Start]:
    """Start a run of these cells; its container is removed with the test."""
    started: list[Container] = []

    def starter(cells: Sequence[notebooks.Cell], *options: str) -> Container:
        started.append(Container(docker, image, work, *options, write(work, cells), OUT))
        return started[-1]

    yield starter
    for container in started:
        container.remove()


def test_as_non_root_on_a_read_only_root_without_capabilities(start: Start) -> None:
    cells = [
        "import os\nprint(os.getuid(), os.getgid())",
        "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('CapEff')])",
        "open('here', 'w').close(); open('/tmp/there', 'w').close()",
        "%%writefile made.py\nx = 1",
        "!id -un; echo $HOME",
        "import IPython\nprint(IPython.paths.get_ipython_dir())",
        "try:\n    open('/etc/hostile', 'w')\nexcept OSError as error:\n    print(error.strerror)",
    ]
    done = start(cells).finish()
    assert done.code == 0, done.stdout
    assert done.text(0) == "10001 10001\n"
    assert done.text(1) == "['0000000000000000']\n"
    assert done.text(4).split() == ["nbstep", "/home/nbstep"]
    assert done.text(5) == "/home/nbstep/.ipython\n"
    assert done.text(6) == "Read-only file system\n"
    assert done.stderr == ""


def test_as_any_other_uid(start: Start) -> None:
    done = start(["import os\nprint(os.getuid())\nopen('here', 'w').close()"], "--docker-user=4711:4711").finish()
    assert (done.code, done.text(0)) == (0, "4711\n")


def test_the_three_positionals_of_a_classic_wrapper(docker: Docker, image: str, work: Path) -> None:
    notebooks.write(work / "in.ipynb", [Code("A = 1", tags=("parameters",)), "print(A)"])
    (work / "params.yaml").write_text("A: 5\n")
    paths = [f"{FOLDER}/{name}" for name in ("in.ipynb", "out.ipynb", "params.yaml")]
    done = docker.call("run", "--rm", "--network=none", f"--volume={work}:{FOLDER}", image, *paths)
    assert done.stderr == ""
    assert [json.loads(line)["event"] for line in done.stdout.splitlines() if "event" in json.loads(line)][
        -1
    ] == "run-finished"
    assert json.loads((work / "out.ipynb").read_text())["cells"][2]["outputs"][0]["text"] in ("5\n", ["5\n"])


def test_the_image_is_in_the_record(start: Start) -> None:
    done = start(["1"], "--docker-env=NBSTEP_IMAGE=registry/team/image@sha256:0").finish()
    assert done.record["environment"]["image"] == "registry/team/image@sha256:0"


def test_a_wrong_command_line_is_said_in_words(docker: Docker, image: str) -> None:
    done = docker.call("run", "--rm", "--network=none", image, "--no-such-option", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such option" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.fault(2)
def test_a_cell_that_takes_all_memory_is_killed_and_the_runner_says_so(start: Start) -> None:
    done = start(["print('before')", HOG, "1"], "--docker-memory=300m").finish()
    assert done.code == 13
    assert done.states == ["succeeded", "failed", "not_run"]
    assert done.error["reference"] == "out-of-memory"
    assert "limit 300 MiB" in done.error["message"]
    assert done.text(0) == "before\n"


@pytest.mark.fault(3)
def test_a_container_killed_as_a_whole_leaves_a_checkpoint(start: Start) -> None:
    cells = ["print('first')", "import time; print('waiting'); time.sleep(100)"]
    container = start(cells, "--docker-env=NBSTEP_AUTOSAVE_CELL_EVERY=0.5")
    container.wait_for("waiting")
    partial = container.folder / "out.partial.ipynb"
    assert processes.until(lambda: partial.exists() and "waiting" in partial.read_text(), 60)
    container.docker.call("kill", "--signal=KILL", container.name)
    done = container.finish(check=False)
    assert done.code == KILLED
    assert not done.output.exists()
    assert done.record["state"] == "running"
    assert "first" in partial.read_text()


@pytest.mark.fault(10)
def test_sigterm_saves_what_there_is_within_the_grace_period(start: Start) -> None:
    cell = "import time\ntry:\n    print('working'); time.sleep(100)\nfinally:\n    print('cleaned up')"
    container = start([cell, "1"])
    container.wait_for("working")
    began = time.monotonic()
    container.docker.call("stop", "--time=10", container.name)
    done = container.finish()
    assert time.monotonic() - began < 10
    assert done.code == SIGTERM_CODE
    assert done.states == ["interrupted", "not_run"]
    assert "cleaned up" in done.text(0)
    assert container.state()["OOMKilled"] is False


@pytest.mark.fault(10)
def test_a_second_sigterm_keeps_saving(start: Start) -> None:
    cell = "import time\ntry:\n    print('working'); time.sleep(100)\nfinally:\n    time.sleep(1); print('cleaned up')"
    container = start([cell])
    container.wait_for("working")
    for _ in range(3):
        container.docker.call("kill", f"--signal={signal.SIGTERM.name}", container.name)
    done = container.finish()
    assert (done.code, done.states) == (SIGTERM_CODE, ["interrupted"])
    assert "cleaned up" in done.text(0)


@pytest.mark.fault(13)
def test_as_pid_1_it_reaps_what_others_leave_behind(start: Start) -> None:
    cells = [
        "import subprocess, time, os",
        # an orphan that ends at once, one that outlives its parent in a session of its own
        "subprocess.run(['sh', '-c', 'true & exec true']); subprocess.run(['sh', '-c', 'setsid sleep 300 &'])",
        "time.sleep(1)",
        ZOMBIES,
    ]
    done = start(cells).finish()
    assert done.code == 0
    assert done.text(3) == "1 False\n"  # the kernel's parent is the watchdog, whose parent is process 1
    assert done.seconds < 120


@pytest.mark.fault(13)
def test_a_fork_bomb_under_a_pids_limit_ends_in_words(start: Start) -> None:
    done = start([FORKS], "--run-timeout=60").finish()
    assert done.code == 10
    assert "refused 11" in done.text(0)


def test_a_full_disk_of_scratch_is_a_verdict(start: Start) -> None:
    done = start(["print('x' * 50_000_000)", "1"], "--docker-tmpfs=/tmp:size=20m,mode=1777").finish()
    assert done.code in {0, 75}
    assert done.record["warnings"] or done.code


def test_object_stores_by_the_machines_network(docker: Docker, image: str, s3_server: S3Server, s3_folder: str) -> None:
    client, bucket = s3_server.client(), s3_folder.removeprefix("s3://").strip("/")
    client.put_object(Bucket=bucket, Key="in.ipynb", Body=json.dumps(notebooks.notebook(["print('from s3')"])).encode())
    environment = [f"--env={name}={value}" for name, value in s3_server.environment().items()]
    done = _through(docker, image, environment, s3_folder)
    assert done.returncode == 0, done.stdout + done.stderr
    notebook = json.loads(client.get_object(Bucket=bucket, Key="out.ipynb")["Body"].read())
    assert "from s3" in json.dumps(notebook["cells"][0]["outputs"])
    assert json.loads(client.get_object(Bucket=bucket, Key="out.result.json")["Body"].read())["state"] == "succeeded"


def test_google_storage_by_the_machines_network(
    docker: Docker, image: str, gcs_server: GcsServer, gcs_folder: str
) -> None:
    from nbstep_runner.contract import StorageOptions
    from nbstep_runner.stores import open_store

    store = open_store(gcs_folder, StorageOptions())
    store.write(f"{gcs_folder}in.ipynb", json.dumps(notebooks.notebook(["print('from gcs')"])).encode())
    key = "/run/secrets/key.json"
    given = gcs_server.environment() | {"GOOGLE_APPLICATION_CREDENTIALS": key}
    gcs_server.credentials.chmod(0o644)
    options = [f"--env={name}={value}" for name, value in given.items()]
    done = _through(docker, image, [*options, f"--volume={gcs_server.credentials}:{key}:ro"], gcs_folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"from gcs" in store.read(f"{gcs_folder}out.ipynb").data


def _through(docker: Docker, image: str, options: Sequence[str], folder: str) -> subprocess.CompletedProcess[str]:
    rights = ("--rm", "--network=host", "--read-only", "--cap-drop=ALL")
    return docker.call("run", *rights, *options, image, f"{folder}in.ipynb", f"{folder}out.ipynb", check=False)
