"""A process that the worker has forked, and that makes runs: what ``nbstep-runner`` does, without its start."""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Final, NoReturn

from nbstep_runner.contract import RunResult, RunSpec, RunState, StorageOptions, SweepTurn, encode
from nbstep_runner.errors import ExitCode, NbstepError
from nbstep_runner.kernel.early import launch_early
from nbstep_runner.kernel.launched import ForkServer
from nbstep_runner.kernel.process import LaunchOptions
from nbstep_runner.kernel.watchdog import Watchdog
from nbstep_runner.processes import become_subreaper
from nbstep_runner.session.earlier import next_attempt
from nbstep_runner.session.kernels import supervised
from nbstep_runner.session.ledger import LogSettings
from nbstep_runner.session.run import RunTools, run_once
from nbstep_runner.session.stores import StoreSource
from nbstep_runner.sinks.log import LogFormat
from nbstep_runner.sinks.trace import tracing
from nbstep_runner.supervisor import STOPPING, stopping

PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A run to be made.

    Attributes:
        kernel: The kernel's name, as far as it is known before the notebook is read.
        server: Where a forked kernel can be had.
        turn: See :class:`~nbstep_runner.session.stored_output.StoredOutput`.
    """

    spec: RunSpec
    kernel: str | None
    server: ForkServer | None
    turn: SweepTurn | None = None


def serve(tasks: Connection, parent: int, let_go: Callable[[], None]) -> NoReturn:
    """In the child: make the runs that come, until one does not succeed or the worker has no more.

    A process in which a run went wrong makes no other: whatever went wrong ends with it.

    Args:
        tasks: Each :class:`Task` comes here, and its record goes back.
        parent: The worker's pid.
        let_go: Closes what is the worker's.
    """
    code = int(ExitCode.INTERNAL)
    try:
        _detach(parent, let_go)
        _serve(tasks)
        code = int(ExitCode.SUCCEEDED)
    except BaseException:  # noqa: BLE001 - a fork must not go on as the worker that it is a copy of
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _serve(tasks: Connection) -> None:
    token = secrets.token_hex(16)
    watchdog = Watchdog(token, beside=(tasks.fileno(),))
    become_subreaper()
    stores: dict[StorageOptions, StoreSource] = {}
    usable = True
    while usable and (task := _next(tasks)):
        options = task.spec.storage
        result = _run(task, token, watchdog, stores.setdefault(options, StoreSource(options)))
        usable = result.state is RunState.SUCCEEDED
        tasks.send_bytes(encode(result))
    watchdog.dismiss()


def _next(tasks: Connection) -> Task | None:
    try:
        task: Task = tasks.recv()
    except EOFError:
        return None
    return task


def _detach(parent: int, let_go: Callable[[], None]) -> None:
    """Take the state of a process that was started by itself; the worker's death is a SIGTERM."""
    signal.set_wakeup_fd(-1)
    for number in (*stopping(), signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
    let_go()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


def _run(task: Task, token: str, watchdog: Watchdog, stores: StoreSource) -> RunResult:
    spec = task.spec
    options = LaunchOptions(
        working_directory=spec.working_directory,
        stock=spec.stock_kernel,
        token=token,
        server=task.server,
        watchdog=watchdog,
    )
    early = launch_early(task.kernel, options, wanted=not (spec.prepare_only or spec.state))

    with supervised(early, watchdog.pid, spec.deadlines.grace) as (supervisor, kernels):
        traces = tracing()
        log = LogSettings(stream=None, format=LogFormat.JSON, quiet=True, sinks=traces.sinks, warnings=traces.warnings)
        with suppress(NbstepError):  # the run itself meets what went wrong, and says so
            spec = supervisor.call(partial(next_attempt, spec, stores), doing="reading the earlier attempt's record")
        tools = RunTools(
            supervisor=supervisor,
            kernels=kernels,
            log=log,
            notebook_stream=sys.stdout.buffer,
            turn=task.turn,
            stores=stores,
        )
        return run_once(spec, tools)
