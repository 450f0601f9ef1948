"""The pods of a run or a sweep: which of them run, and how they are taken away."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from integration.kubernetes.test_jobs import evict
from servers.cluster import TESTCLUSTER, Launcher
from support import processes

Taking = Callable[[Launcher, str], None]
"""Takes a pod away, by its name."""


def killed(launcher: Launcher, pod: str) -> None:
    """As for its memory: a SIGKILL, which its Job counts as a failure."""
    which = "jsonpath={.status.containerStatuses[0].containerID}"
    container = launcher.cluster("get", "pod", pod, "--output", which, check=False).removeprefix("containerd://")
    runtime = ("ctr", "--address", str(TESTCLUSTER / "containerd/containerd.sock"), "--namespace", "k8s.io")
    subprocess.run([*runtime, "task", "kill", "--signal", "SIGKILL", container], check=False, capture_output=True)


def lost(launcher: Launcher, pod: str) -> None:
    """As with a node that does not come back: nobody waits for the pod's end."""
    launcher.cluster("delete", "pod", pod, "--wait=false", "--force", "--grace-period=0", check=False)


def deleted(launcher: Launcher, pod: str) -> None:
    """As by hand: a SIGTERM, and a grace period."""
    launcher.cluster("delete", "pod", pod, "--wait=false", check=False)


def evicted(launcher: Launcher, pod: str) -> None:
    """As by whoever drains its node: a SIGTERM, and no failure of its Job."""
    evict(launcher.cluster, pod)


def suspended(launcher: Launcher, pod: str) -> None:
    """As by a queue that takes its run back, and lets it go again once its pod has ended."""
    job = pod.rpartition("-")[0]
    for suspend in ("true", "false"):
        launcher.cluster("patch", "job", job, "--patch", f'{{"spec": {{"suspend": {suspend}}}}}')
        until(lambda: pod not in running(launcher, job))


def running(launcher: Launcher, name: str) -> list[str]:
    """The pods of a run or a sweep that run and that nobody has ended yet, the oldest first."""
    found = launcher.cluster.get("pods", "--selector", f"nbstep/run-id={name}")["items"]
    there = [
        pod["metadata"]
        for pod in found
        if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]
    return [each["name"] for each in sorted(there, key=lambda each: str(each["creationTimestamp"]))]


def until(seen: Callable[[], object], seconds: float = 200.0) -> None:
    """Wait until something is true."""
    assert processes.until(lambda: bool(seen()), seconds), "it does not come to that"


def moment(time: str) -> float:
    """Seconds since the epoch of a time as the cluster writes it."""
    return datetime.fromisoformat(time).timestamp()


@contextmanager
def taking(
    launcher: Launcher, name: str, take: Taking, *, times: int, pause: tuple[float, float] = (4.0, 8.0)
) -> Iterator[list[str]]:
    """Meanwhile pods of a sweep are taken away, one after each pause; which were."""
    taken: list[str] = []
    chance, over = random.Random(0), threading.Event()  # noqa: S311 - where to hit, not a secret

    def work() -> None:
        while len(taken) < times and not over.wait(chance.uniform(*pause)):
            if there := running(launcher, name):
                taken.append(chance.choice(there))
                take(launcher, taken[-1])

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()
