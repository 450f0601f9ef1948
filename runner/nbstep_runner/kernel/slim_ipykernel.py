"""Starts ipykernel without what a run never uses. Executed as a script by the kernel's own interpreter.

It imports nothing of ours, because the kernel's environment need not hold nbstep. What differs from
``python -m ipykernel_launcher``, and why:

* no debugger: debugpy alone takes 75 to 95 ms to import; user code can still import it;
* jupyter_client's clients and managers, which a kernel does not use, are imported when user code asks for them;
* its one argument is read without a parser of hundreds of options, whose making takes 6 ms;
* no history is written to disk: its first write alone takes 35 ms, and the kernels of a user share one file;
* text is sent 10 ms after it was printed, not 200 ms (``OutStream.flush_interval``);
* no sleep of 0.5 ms before each reply (``Kernel._execute_sleep``): the order of messages does not depend on it;
* a flush with nothing to send returns at once: besides its cost for every cell, the kernel's control thread could
  wait for it for seconds at shutdown, when the thread that would answer has already stopped;
* what subprocesses and native code print is decoded across reads, so that no character is torn, and it is taken
  before a cell's reply, so that it is not attributed to the next cell; it is not echoed to the process's own stderr;
* what is printed to stdout and stderr is sent in the order in which it was printed;
* writing a piece of text costs a fraction: the buffer of the last message's cell is kept at hand;
* outputs are not kept in the kernel's memory as well, where IPython 9 holds every piece of them for ``%notebook``;
* a slow reader makes the kernel wait instead of losing output (``ZMQ_XPUB_NODROP``);
* at shutdown a child that has ended, but that user code did not wait for, does not count: it would hold the kernel for
  14 s, and the run would kill it before its exit handlers run;
* what subprocesses print is taken in a test run too, where ipykernel leaves it out (``PYTEST_CURRENT_TEST``);
* a crash writes its Python traceback to the process's own stderr (``faulthandler``);
* at the end threads are joined, exit handlers run, the namespace is cleared and open files are flushed as ever, but
  the interpreter is not taken apart after that: it would only free memory that the process gives back anyway.

Tested with ipykernel 6.29 to 7; ``--stock-kernel`` launches the kernel without any of this.
"""

import codecs
import fcntl
import os
import select
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

FLUSH_SECONDS = 0.01
READ_BYTES = 65536
NO_HISTORY = {"HistoryManager": {"enabled": False}}
TEST_VARIABLE = "PYTEST_CURRENT_TEST"


def _pending_bytes(descriptor: int) -> int:
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


class _PipeReader:
    """Takes what is written to a redirected file descriptor; one reader at a time, whoever comes first."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def take(self) -> None:
        """Write all that waits in the pipe to the stream."""
        with self._lock:
            while waiting := _pending_bytes(self._stream._fid):
                data = os.read(self._stream._fid, min(waiting, READ_BYTES))
                if text := self._decoder.decode(data):
                    self._stream.write(text)

    def watch(self) -> None:
        """Take whatever comes, until the stream is closed."""
        poll = select.poll()
        poll.register(self._stream._fid, select.POLLIN)
        while self._stream._should_watch and poll.poll():
            self.take()


def _patch_streams(out_stream: Any) -> None:
    """Give ``ipykernel.iostream.OutStream`` the behaviour that this module's docstring promises."""
    flush = out_stream.flush
    out_stream.flush_interval = FLUSH_SECONDS

    def watch(self: Any) -> None:
        try:
            _reader(self).watch()
        except Exception:  # noqa: BLE001 - as ipykernel's own watcher does: kept, and shown when the stream closes
            self._exc = sys.exc_info()

    def prompt_flush(self: Any) -> None:
        if self._fid is not None and self._should_watch:
            _reader(self).take()
        with self._buffer_lock:
            holds_text = any(buffer.tell() for buffer in self._buffers.values())
        if holds_text:
            flush(self)

    _patch_write(out_stream)
    out_stream._watch_pipe_fd = watch
    out_stream.flush = prompt_flush


def _patch_write(out_stream: Any) -> None:
    """Write to the buffer of the last write while the stream, the cell and its buffers are still the same.

    A forked child goes back to ipykernel's own way, which has to find out in each write that it is one.
    """
    write = out_stream.write
    last: tuple[Any, Any, Any, Any] = (None, None, None, None)

    def prompt_write(self: Any, string: str) -> Any:
        nonlocal last
        parent = self._parent_header.get(None)
        if parent is None:
            parent = self._parent_header_global
        with self._buffer_lock:
            stream, header, buffers, write_on = last
            if stream is self and header is parent and buffers is self._buffers:
                return write_on(string)
        if stream not in (self, None):
            _hand_over(stream)
        with self._buffer_lock:
            written = write(self, string)
            buffer = self._buffers.get(frozenset(parent.items()))
            last = (self, parent, self._buffers, buffer.write) if buffer is not None else (self, None, None, None)
            return written

    def undo() -> None:
        out_stream.write = write

    out_stream.write = prompt_write
    os.register_at_fork(after_in_child=undo)


def _hand_over(stream: Any) -> None:
    """Send what a stream holds before another one takes more: the buffers of two streams know no common order."""
    if held := [piece for piece in stream._flush_buffers() if piece[1]]:
        stream.pub_thread.schedule(lambda: _send(stream, held))


def _send(stream: Any, pieces: list[tuple[Any, str]]) -> None:
    for parent, text in pieces:
        message = stream.session.msg("stream", {"name": stream.name, "text": text}, parent=parent)
        stream.session.send(stream.pub_thread, message, ident=stream.topic)


_readers_lock = threading.Lock()


def _reader(stream: Any) -> _PipeReader:
    with _readers_lock:
        reader: _PipeReader = stream.__dict__.setdefault("_nbstep_reader", _PipeReader(stream))
        return reader


class _Forgotten(dict[int, list[Any]]):
    """Takes the place of ``HistoryManager.outputs``: whatever is appended to it is gone."""

    def __missing__(self, execution_count: int) -> list[Any]:
        return []


def _no_tee(channel: str) -> AbstractContextManager[str]:
    return nullcontext(channel)


def _keep_no_outputs(shell: Any) -> None:
    if hasattr(shell.history_manager, "outputs"):
        shell.history_manager.outputs = _Forgotten()
    if hasattr(shell, "_tee"):
        shell._tee = _no_tee


def _never_drop(application: Any) -> None:
    import zmq

    application.iopub_thread.socket.setsockopt(zmq.XPUB_NODROP, 1)


def _count_living_children_only(kernel: Any) -> None:
    children = kernel._process_children
    kernel._process_children = lambda: list(filter(_lives, children()))


def _lives(process: Any) -> bool:
    import psutil  # as ipykernel, which has found the process with it

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _report_crashes() -> None:
    import faulthandler

    own_stderr = getattr(sys.stderr, "_original_stdstream_copy", None)
    if own_stderr is not None:
        faulthandler.enable(file=own_stderr)


def _defer_jupyter_client() -> None:
    """Let the modules of ``jupyter_client`` be imported before the package itself is executed, on its first use."""
    from importlib.util import find_spec, module_from_spec

    spec = find_spec("jupyter_client")
    if spec is None or spec.loader is None or spec.name in sys.modules:
        return
    package: Any = module_from_spec(spec)
    execute = spec.loader.exec_module

    def load(name: str) -> Any:
        package.__dict__.pop("__getattr__", None)
        execute(package)
        return getattr(package, name)

    package.__getattr__ = load
    sys.modules[spec.name] = package
    from jupyter_client.connect import write_connection_file

    package.write_connection_file = write_connection_file  # all that ipykernel takes from the package itself


@contextmanager
def _without_debugger() -> Iterator[None]:
    blocked = "debugpy" not in sys.modules
    if blocked:
        modules: dict[str, Any] = sys.modules  # ``None`` makes an import fail, and ipykernel goes without
        modules["debugpy"] = None
    try:
        yield
    finally:
        if blocked:
            del sys.modules["debugpy"]


def _parse_command_line(application: Any, parse: Any, arguments: list[str]) -> None:
    """Take ``-f FILE``, the only arguments that there are as a rule, without making a parser of hundreds of options."""
    from traitlets.config import Config

    if len(arguments) == 2 and arguments[0] == "-f":
        application.update_config(Config(NO_HISTORY, IPKernelApp=Config(connection_file=arguments[1])))
        return
    parse(arguments)
    application.update_config(Config(NO_HISTORY))


def _initialized_without_debugger(application: Any) -> None:
    test = os.environ.pop(TEST_VARIABLE, None)
    try:
        with _without_debugger():
            application.initialize(sys.argv[1:])
    finally:
        if test is not None:
            os.environ[TEST_VARIABLE] = test


def main() -> None:
    """Be the kernel until it is told to shut down."""
    del sys.path[0]  # this script's folder; ipykernel adds the working directory itself
    be_kernel()


def load() -> None:
    """Import ipykernel, and start nothing: no thread, no event loop, no ZMQ context; then kernels can be forked."""
    _defer_jupyter_client()
    with _without_debugger():
        from ipykernel import kernelapp

    assert kernelapp  # noqa: S101 - imported for those who come after


def be_kernel() -> None:
    """Be the kernel that ``sys.argv`` asks for; does not return."""
    load()
    from ipykernel import iostream, kernelapp

    _patch_streams(iostream.OutStream)
    application: Any = kernelapp.IPKernelApp.instance()
    application.parse_command_line = partial(_parse_command_line, application, application.parse_command_line)
    _initialized_without_debugger(application)
    application.kernel._execute_sleep = 0.0
    _never_drop(application)
    _keep_no_outputs(application.shell)
    if hasattr(application.kernel, "_process_children"):
        _count_living_children_only(application.kernel)
    _report_crashes()
    application.start()
    _exit(application)


def _exit(application: Any) -> None:
    """End the process once everything that a notebook can count on at its end has happened."""
    import atexit

    modules: Any = threading
    modules._shutdown()  # joins the threads that are not daemons, as the interpreter's own end does
    atexit.unregister(application.close)
    atexit._run_exitfuncs()
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    if any(buffer.tell() for stream in streams for buffer in stream._buffers.values()):
        sys.stdout.flush()
        sys.stderr.flush()
        application.close()  # waits until it has been sent
    _flush_files()
    os._exit(0)


def _flush_files() -> None:
    """Write out files that are still open somewhere, as their closing would."""
    import gc
    import io

    kinds = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
    for file in [each for each in gc.get_objects() if type(each) in kinds]:
        try:
            file.flush()
        except (OSError, ValueError):
            continue  # closed, or its reader is gone


if __name__ == "__main__":
    main()
