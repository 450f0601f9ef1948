"""A cell's commands (``!``) as a run wants them: see ``slim_ipykernel``. Loaded by path; it imports nothing of ours."""

from __future__ import annotations

import codecs
import functools
import inspect
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

COMMAND_FAILED = "nbstep_command_failed"
"""The message that tells the runner of a command (``!``) that failed: ``command`` and ``status``."""

PIECE = 2**16
END_LOOKED_FOR_SECONDS = 0.05
"""How soon the end of a command is seen whose terminal another process, which it left behind, still holds."""
INTERRUPTED_SECONDS = 0.2
"""What an interrupted command has to end by itself."""
WINDOW = (24, 80)


def attend_to_commands(kernel: Any) -> None:
    """Give commands an empty standard input, as a cell's ``input()`` has none, and tell of those that fail."""
    from ipykernel import zmqshell
    from IPython.core import interactiveshell
    from IPython.utils import process
    from IPython.utils._process_common import process_handler
    from IPython.utils.encoding import DEFAULT_ENCODING

    handler: Any = process.system.__self__  # type: ignore[attr-defined]  # it has another home on each operating system

    def attended(command: str) -> Any:
        status = tell(command, _run(handler.sh, command, DEFAULT_ENCODING))
        return 128 - status if status > 128 else status  # as IPython has it for ``_exit_code``

    def attended_output(command: Any) -> str:
        """The output of ``name = !command``, whose standard input is empty as it is."""
        return process_handler(command, collected(command), -2) or ""  # subprocess.STDOUT

    def collected(command: Any) -> Any:
        def collect(running: Any) -> str:
            output = running.communicate()[0].decode(DEFAULT_ENCODING, "replace")
            tell(command, running.returncode)
            return str(output)

        return collect

    def tell(command: Any, status: Any, parent: Any = None) -> Any:
        if status:
            content = {"command": str(command), "status": status}
            kernel.session.send(kernel.iopub_socket, COMMAND_FAILED, content, parent=parent or kernel.get_parent())
        return status

    _attend_to_cd(kernel.shell, tell)
    _attend_to_scripts(kernel, tell)
    modules: tuple[Any, ...] = (interactiveshell, zmqshell)
    for module in modules:
        module.system = attended
    modules[0].getoutput = attended_output


def _attend_to_cd(shell: Any, tell: Any) -> None:
    """Tell of a ``%cd`` that enters no folder, also for ``%pushd`` and ``%popd``; IPython only prints that."""
    magic = shell.find_line_magic("cd")

    @functools.wraps(magic)
    def cd(line: str = "") -> None:
        enter, entered = os.chdir, []

        def noted(path: Any) -> None:
            enter(path)
            entered.append(path)

        os.chdir = noted
        try:
            magic(line)
        finally:
            os.chdir = enter
        if not entered:
            tell(f"%cd {line}", 1)

    if (owner := getattr(magic, "__self__", None)) is not None:  # else a startup file has made it anew
        owner.cd = cd
    shell.register_magic_function(cd, "line", "cd")


def _attend_to_scripts(kernel: Any, tell: Any) -> None:
    """Tell of a script in the background (``%%bash --bg``) that fails; IPython says nothing of it.

    One that ``%killbgscripts`` or the end of the notebook has ended, as it ends a server, has not failed.
    """
    from IPython.core.magics.script import ScriptMagics

    magics: Any = ScriptMagics
    run_script, kill = magics._run_script, magics.kill_bg_processes
    if not inspect.iscoroutinefunction(run_script):  # of IPython 7
        return
    killed: list[Any] = []

    async def attended(self: Any, process: Any, cell: bytes, to_close: Any) -> None:
        parent = kernel.get_parent()
        try:
            await run_script(self, process, cell, to_close)
        except ConnectionError:  # it has ended without reading all of its cell
            await process.wait()
        if process not in killed and kernel._shutdown_message is None:
            tell(cell.decode(errors="replace"), process.returncode, parent)

    def noted_kill(self: Any) -> None:
        killed.extend(self.bg_processes)
        kill(self)

    magics._run_script, magics.kill_bg_processes = attended, noted_kill


def _run(shell: str, command: str, encoding: str) -> int:
    """Print what a command writes, to a terminal as it does with IPython, as it comes; its status.

    IPython's own way keeps all that was printed, and looks through it for each piece.

    Returns:
        The exit status; minus the signal where one has ended the shell.
    """
    ours, theirs = os.openpty()
    try:
        _set_window(theirs)
        process = subprocess.Popen(  # noqa: S603 - what a notebook asks for
            [shell, "-c", command], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        theirs = -1
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        try:
            _print_until_end(ours, process, decoder)
        except KeyboardInterrupt:
            _end(ours, process, decoder)
        if rest := decoder.decode(b"", final=True):
            sys.stdout.write(rest)
    finally:
        for descriptor in (ours, theirs):
            if descriptor >= 0:
                os.close(descriptor)
    return int(process.wait())


def _set_window(terminal: int) -> None:
    """The size that commands find with IPython, too."""
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *WINDOW, 0, 0))


def _print_until_end(terminal: int, process: Any, decoder: Any) -> None:
    """Print what comes until nobody can write any more, or the command has ended and nothing waits."""
    poll = select.poll()
    poll.register(terminal, select.POLLIN)
    os.set_blocking(terminal, False)
    while True:
        ended = process.poll() is not None
        if poll.poll(0 if ended else END_LOOKED_FOR_SECONDS * 1000):
            data, more = _read(terminal)
            if text := decoder.decode(data):
                sys.stdout.write(text)
            if not more:
                return
        elif ended:
            return


def _read(terminal: int) -> tuple[bytes, bool]:
    """What waits, up to a bound, and whether there may be more: a terminal hands out little at a time."""
    room, size = memoryview(bytearray(PIECE)), 0
    try:
        while size < PIECE:
            read = os.readv(terminal, [room[size:]])
            if not read:
                return bytes(room[:size]), False
            size += read
    except BlockingIOError:
        pass
    except OSError:  # EIO: nobody holds the other end
        return bytes(room[:size]), False
    return bytes(room[:size]), True


def _end(terminal: int, process: Any, decoder: Any) -> None:
    """End a command that was interrupted, and print its last words."""
    with suppress(KeyboardInterrupt, ProcessLookupError):  # the impatient interrupt more than once
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(INTERRUPTED_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    data, _ = _read(terminal)
    sys.stdout.write(decoder.decode(data))
