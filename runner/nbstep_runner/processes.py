"""The processes of this machine, by proc(5), and those that a run starts: told apart, found, ended, reaped.

A process belongs to a run when it descends from the kernel, or carries the run's token in its environment; so one that
left its session and its parent is found too. A process is known by its pid and its start time, and signalled through a
pidfd, so that a pid that was given away meanwhile hits nobody else.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from time import monotonic, sleep
from typing import NamedTuple

TOKEN_VARIABLE = "NBSTEP_RUN_TOKEN"  # noqa: S105 - the name of a variable
"""Set in a kernel's environment to the run's token."""

KILL_SECONDS = 5.0
"""How long processes may take to end after SIGKILL; only one that hangs in the operating system takes longer."""

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_POLL_SECONDS = 0.01


class Process(NamedTuple):
    """A process; ``started`` is in clock ticks since boot, ``ended`` says that it waits to be reaped."""

    pid: int
    parent: int
    started: int
    ended: bool

    @property
    def identity(self) -> tuple[int, int]:
        """What no other process of this boot shares, not even a later one of the same pid."""
        return self.pid, self.started


def find(pid: int) -> Process | None:
    """The process of a pid; ``None`` where there is none, or none that may be seen."""
    _, _, fields = _read(f"/proc/{pid}/stat").rpartition(b")")
    parts = fields.split()
    if len(parts) < 20:
        return None
    ended = parts[0] in (b"Z", b"X") and int(parts[17]) <= 1  # more threads: only the first of them has ended
    return Process(pid, int(parts[1]), int(parts[19]), ended)


def find_all() -> dict[int, Process]:
    """Every process that may be seen, by its pid."""
    names = os.listdir("/proc")  # noqa: PTH208 - only names are wanted, and this is done often
    found = (find(int(name)) for name in names if name.isdecimal())
    return {process.pid: process for process in found if process}


def started_at(pid: int) -> int:
    """When the process of a pid started, which tells it from a later one of the same pid; 0 where there is none."""
    process = find(pid)
    return process.started if process else 0


def runs(pid: int, started: int) -> bool:
    """Whether the process that had this pid and start still runs; one that was killed and not reaped does not."""
    process = find(pid)
    if process is not None:
        return process.started == started and not process.ended
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True  # it is hidden, as other users' processes may be: it counts as the same one


def having(variable: bytes, pids: Iterable[int]) -> list[int]:
    """Those of some processes that were started with ``NAME=value`` in their environment."""
    return [pid for pid in pids if variable in _read(f"/proc/{pid}/environ").split(b"\0")]


def host_identity() -> str:
    """Names this boot of this machine and its PID namespace, in which a pid means one process; empty if unknown."""
    boot = _read("/proc/sys/kernel/random/boot_id").decode().strip()
    with suppress(OSError):
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}" if boot else ""  # noqa: PTH115 - pathlib costs its import
    return ""


def _read(path: str) -> bytes:
    """A file of ``/proc``; empty where it cannot be read, or is gone."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return b"".join(iter(lambda: os.read(fd, 1 << 16), b""))
    except OSError:
        return b""
    finally:
        os.close(fd)


def become_subreaper() -> bool:
    """Make orphaned descendants our children, so that none is lost; whether the system could."""
    import ctypes

    libc = ctypes.CDLL(None)
    return bool(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def wake_at_ended_children() -> int:
    """A descriptor that becomes readable when a child of this process has ended."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def reap_zombies(exclude: Collection[int] = ()) -> list[int]:
    """Collect the children that have ended; their pids.

    Args:
        exclude: Children whose exit status somebody else waits for, and must not lose.
    """
    here = os.getpid()
    ended = [process for process in find_all().values() if process.ended and process.parent == here]
    return [process.pid for process in ended if process.pid not in exclude and _reap(process.pid)]


def kill_tree(
    pid: int,
    *,
    grace: float,
    token: str | None = None,
    own_all_children: bool = False,
    exclude: Collection[int] = (),
    guardian: int | None = None,
) -> list[int]:
    """End a child and everything that belongs to it: SIGTERM, ``grace`` seconds, SIGKILL, until none is left.

    Ends within ``grace`` plus ``KILL_SECONDS``. Whatever became our child by losing its parent is reaped; the child
    itself is left to whoever waits for it.

    Args:
        pid: A child of this process; one that is not, or no longer, is not touched. 0: there is no such one.
        grace: Seconds from SIGTERM to SIGKILL; with 0 SIGKILL comes at once.
        token: Processes that carry it in ``NBSTEP_RUN_TOKEN`` belong to the child, wherever they are.
        own_all_children: Every child of this process belongs to it, as where this process does nothing else.
        exclude: Children that do not.
        guardian: A child of this process that stands between: its children are treated as this process's.

    Returns:
        The pids that could not be ended; empty as a rule.
    """
    return _end(_Family(pid, token, own_all_children, exclude, guardian), grace)


class _Family:
    """The processes that belong to a run, sought anew each time, for they may go on starting others."""

    def __init__(
        self,
        root: int,
        token: str | None,
        own_all_children: bool = False,
        exclude: Collection[int] = (),
        guardian: int | None = None,
    ) -> None:
        self._here = os.getpid()
        self._parents = {self._here, guardian}
        self._root, self._own_all_children, self._exclude = root, own_all_children, exclude
        self._mark = f"{TOKEN_VARIABLE}={token}".encode() if token else None
        self._known: set[tuple[int, int]] = set()

    def members(self) -> list[Process]:
        """Those that are left: the living ones, and the ended ones that are ours to reap."""
        table = find_all()
        spared = {process.pid for process in _above(self._here, table)} | set(self._exclude)
        others = [process for process in table.values() if process.pid not in spared]
        found = _below([process.pid for process in others if self._heads(process)], table)
        related = {process.pid for process in found}
        # Last, and not of those that are found: reading an environment waits for a process that is just forking.
        strangers = [each.pid for each in others if each.pid not in related and not each.ended]
        found += _below(having(self._mark, strangers) if self._mark else (), table)
        members = {process.pid: process for process in found if process.pid not in spared}.values()
        self._known.update(process.identity for process in members)
        return [process for process in members if not process.ended or self._is_to_reap(process)]

    def kill_group(self) -> None:
        """Kill the child's process group, if it leads one: at once, so that not even a fork bomb slips through."""
        root = find(self._root) if self._root else None
        with suppress(OSError):
            if root and root.parent in self._parents and os.getpgid(root.pid) == root.pid:
                os.killpg(root.pid, signal.SIGKILL)

    def reap(self, members: Iterable[Process]) -> None:
        """Collect those that have ended."""
        for process in members:
            if self._is_to_reap(process):
                _reap(process.pid)

    def _heads(self, process: Process) -> bool:
        ours = process.parent in self._parents
        return (ours and (self._own_all_children or process.pid == self._root)) or process.identity in self._known

    def _is_to_reap(self, process: Process) -> bool:
        return process.ended and process.parent == self._here and process.pid != self._root


def _end(family: _Family, grace: float) -> list[int]:
    members = family.members()
    if grace > 0 and members:
        for number in (signal.SIGTERM, signal.SIGCONT):  # a stopped process acts on SIGTERM when it continues
            _signal_all(members, number)
        members = _wait(family, monotonic() + grace)
    family.kill_group()
    deadline = monotonic() + KILL_SECONDS
    stopped: set[tuple[int, int]] = set()
    while members and monotonic() < deadline:
        # All of them are stopped before the first is killed: else each death makes room for a fork bomb's next child.
        fresh = [process for process in members if process.identity not in stopped and not process.ended]
        _signal_all(fresh or members, signal.SIGSTOP if fresh else signal.SIGKILL)
        stopped.update(process.identity for process in fresh)
        members = family.members() if fresh else _wait(family, monotonic() + _POLL_SECONDS)
    _signal_all(members, signal.SIGKILL)
    return [process.pid for process in members if not process.ended]


def _wait(family: _Family, deadline: float) -> list[Process]:
    """Reap until none is left or time is up; those that are left."""
    while members := family.members():
        family.reap(members)
        if monotonic() >= deadline:
            break
        sleep(min(_POLL_SECONDS, max(0.0, deadline - monotonic())))
    return members


def _signal_all(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        if not process.ended:
            with suppress(OSError):  # it has just ended, or is not ours to signal: then it is reported as left
                _signal(process, number)


def _signal(process: Process, number: signal.Signals) -> None:
    fd = os.pidfd_open(process.pid)
    try:
        present = find(process.pid)
        if present and present.identity == process.identity:
            signal.pidfd_send_signal(fd, number)
    finally:
        os.close(fd)


def _reap(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def _below(heads: Iterable[int], table: dict[int, Process]) -> list[Process]:
    """The processes and all that descends from them, parents first."""
    children: dict[int, list[Process]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process)
    found = {pid: table[pid] for pid in heads if pid in table}
    queue = list(heads)
    for pid in queue:
        fresh = [child for child in children.get(pid, ()) if child.pid not in found]
        found.update((child.pid, child) for child in fresh)
        queue += [child.pid for child in fresh]
    return list(found.values())


def _above(pid: int, table: dict[int, Process]) -> Iterator[Process]:
    """A process and its ancestors."""
    while pid in table:
        process = table[pid]
        yield process
        pid = process.parent
