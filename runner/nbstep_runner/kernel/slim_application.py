"""ipykernel without what a run never uses: see ``slim_ipykernel``. Loaded by path; it imports nothing of ours."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

HISTORY_OF_ITS_OWN = {"HistoryManager": {"hist_file": ":memory:"}}
TEST_VARIABLE = "PYTEST_CURRENT_TEST"
PARENT_VARIABLE = "JPY_PARENT_PID"


class _NoThread:
    """What ipykernel has where its shell channel has no thread of its own; it asks which thread would start it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.parent_thread = threading.main_thread()

    def __bool__(self) -> bool:
        return False


def _read_requests_where_cells_run(kernelapp: Any) -> None:
    """Let the main thread read the requests that it carries out, as ipykernel before 7 did and embedded kernels do.

    Else a thread reads them and hands each on, and each reply back, through sockets and event loops of its own, for the
    sake of subshells, which nobody asks for in a run. Without it a kernel takes a quarter less processor time for a
    cell, and a quarter fewer switches between threads.
    """
    from ipykernel.kernelbase import Kernel

    kernel: Any = Kernel
    kernel._supports_kernel_subshells = False
    kernelapp.ShellChannelThread = _NoThread


def _count_living_children_only(kernel: Any) -> None:
    children = kernel._process_children
    kernel._process_children = lambda: list(filter(_lives, children()))


def _lives(process: Any) -> bool:
    import psutil  # as ipykernel, which has found the process with it

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _wake_while_a_cell_awaits(kernel: Any) -> None:
    """Wake the event loop when a signal has come: else a cell that awaits is interrupted by the loop's next event only.

    What ipykernel's handler asks of the loop is found after the wait for events, which goes on where it was. Python
    writes to one descriptor at a signal. It is the notebook's where libraries of it have set theirs: asyncio for its
    handlers (``loop.add_signal_handler``), which wake the loop as well, or trio, which expects none.
    """
    import signal
    import socket

    from tornado.ioloop import IOLoop

    loop: Any = IOLoop.current()
    reader, writer = socket.socketpair()
    for each in (reader, writer):
        each.settimeout(0)
    loop.add_handler(reader.fileno(), lambda *_: reader.recv(4096), loop.READ)
    cancel_at_interrupt = kernel._cancel_on_sigint

    def give_back(descriptor: int) -> None:
        with suppress(OSError, ValueError):  # the notebook has closed it since
            signal.set_wakeup_fd(descriptor)

    @contextmanager
    def cancel_at_once(future: Any) -> Iterator[None]:
        theirs = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        if theirs != -1:
            give_back(theirs)
        try:
            with cancel_at_interrupt(future):
                yield
        finally:
            theirs = signal.set_wakeup_fd(-1)
            if theirs != writer.fileno():
                give_back(theirs)

    kernel._cancel_on_sigint = cancel_at_once


def _make_no_unwanted_records(application: Any) -> None:
    """Let the logger drop what all of its handlers drop, before a record is made of it."""
    levels = [handler.level for handler in application.log.handlers]
    if levels:
        application.log.setLevel(max(application.log.level, min(levels)))


def _remember_signatures() -> None:
    """Let ipykernel, which inspects the signatures of its own methods for each cell, do so once."""
    from ipykernel import ipkernel, kernelbase

    inspect: Any = getattr(kernelbase, "_accepts_parameters", None)
    known: dict[Any, Any] = {}

    def accepts_parameters(method: Any, names: list[str]) -> Any:
        key = (method, *names)
        if key not in known:
            known[key] = inspect(method, names)
        return known[key]

    modules: tuple[Any, ...] = (kernelbase, ipkernel)
    for module in modules:
        if hasattr(module, "_accepts_parameters"):
            module._accepts_parameters = accepts_parameters


def _look_as_launched(parent: str | None) -> None:
    """Show to user code what it sees in a kernel that Jupyter launched: the launcher's path, and who launched it."""
    from importlib.util import find_spec

    launcher = find_spec("ipykernel_launcher")
    if launcher is not None and launcher.origin:
        sys.argv[0] = launcher.origin
    if parent is not None:
        os.environ[PARENT_VARIABLE] = str(os.getppid())


def _report_crashes() -> None:
    import faulthandler

    own_stderr = getattr(sys.stderr, "_original_stdstream_copy", None)
    if own_stderr is not None:
        faulthandler.enable(file=own_stderr)


def _parse_command_line(application: Any, parse: Any, arguments: list[str]) -> None:
    """Take ``-f FILE``, the only arguments that there are as a rule, without making a parser of hundreds of options."""
    from traitlets.config import Config

    if len(arguments) == 2 and arguments[0] == "-f":
        application.update_config(Config(HISTORY_OF_ITS_OWN, IPKernelApp=Config(connection_file=arguments[1])))
        return
    parse(arguments)
    application.update_config(Config(HISTORY_OF_ITS_OWN))


def _initialize_without_debugger(application: Any, imports: Any) -> None:
    test = os.environ.pop(TEST_VARIABLE, None)
    try:
        with imports.without_debugger():
            application.initialize(sys.argv[1:])
    finally:
        if test is not None:
            os.environ[TEST_VARIABLE] = test


def be_kernel(parts: Any) -> None:
    """Be the kernel that ``sys.argv`` asks for; does not return.

    Args:
        parts: The other modules of a slim kernel, by their names without ``slim_``.
    """
    parent = os.environ.pop(PARENT_VARIABLE, None)  # else ipykernel would look each second whether it still lives
    gc.disable()  # what is made until then is there to stay: the collector would look through it in vain
    parts.imports.load()
    from ipykernel import iostream, kernelapp

    parts.pipes.patch_pipes(iostream)
    parts.streams.patch_streams(iostream)
    parts.messages.send_at_once(kernelapp)
    _read_requests_where_cells_run(kernelapp)
    with parts.imports.without_blocking_client():
        application: Any = kernelapp.IPKernelApp.instance()
    application.parse_command_line = partial(_parse_command_line, application, application.parse_command_line)
    parts.messages.hold_few(application)
    _initialize_without_debugger(application, parts.imports)
    parts.messages.patch_messages(application)
    application.kernel._execute_sleep = 0.0
    if hasattr(application.kernel, "_process_children"):
        _count_living_children_only(application.kernel)
    _make_no_unwanted_records(application)
    _remember_signatures()
    parts.shell.patch_shell(application, parts.streams)
    parts.commands.attend_to_commands(application.kernel)
    if hasattr(application.kernel, "_cancel_on_sigint"):
        _wake_while_a_cell_awaits(application.kernel)
    _report_crashes()
    _look_as_launched(parent)
    streams_of_ours = (sys.stdout, sys.stderr)
    gc.freeze()
    gc.enable()
    application.start()
    _exit(application, streams_of_ours, parts.streams.await_sent)


def _exit(application: Any, streams: tuple[Any, ...], await_sent: Any) -> None:
    """End the process once everything that a notebook can count on at its end has happened.

    What is said meanwhile is sent by the IOPub thread, whose own exit handler closes its socket: it is not run.

    Args:
        application: The kernel's.
        streams: Its stdout and stderr, whatever the notebook has put in their place.
        await_sent: Waits until a thread has sent what it was given.
    """
    import atexit

    said = application.session.message_count
    modules: Any = threading
    modules._shutdown()  # joins the threads that are not daemons, as the interpreter's own end does
    atexit.unregister(application.close)
    atexit.unregister(application.iopub_thread.stop)
    atexit._run_exitfuncs()
    for stream in streams:
        stream.flush()
    if application.session.message_count != said or application.iopub_thread._events:
        await_sent(application.iopub_thread)
        application.close()  # waits until all has left the process
    _flush_files()
    os._exit(0)


def _flush_files() -> None:
    """Write out files that are still open somewhere, as their closing would."""
    import io

    kinds = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
    for file in [each for each in gc.get_objects() if type(each) in kinds]:
        try:
            file.flush()
        except (OSError, ValueError):
            continue  # closed, or its reader is gone
