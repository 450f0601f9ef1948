"""The runner's command as a user types it, and everything that comes of it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import nbformat

from support import invariants, notebooks, processes

RUNNER = (str(Path(sys.executable).with_name("nbstep-runner")),)
Cells = Sequence[Any] | Path
"""Strings, ``Code`` and ``Text``, or a notebook that is there already."""
LEFT_BEHIND_SECONDS = 5.0
POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Done:
    """A run that has ended: what the shell saw, and what lies beside its output."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    output: Path
    memory: int = 0

    @property
    def place(self) -> Path:
        """The output's path without its ending."""
        return self.output.with_suffix("")

    @cached_property
    def record(self) -> dict[str, Any]:
        """The record, as any program reads it."""
        record: dict[str, Any] = json.loads(self.place.with_suffix(".result.json").read_bytes())
        return record

    @cached_property
    def notebook(self) -> Any:
        """The executed notebook, read and validated by nbformat."""
        executed = nbformat.reads(self.output.read_text(), as_version=4)
        nbformat.validate(executed)
        return executed

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """The stored log, line by line."""
        return [json.loads(line) for line in self.place.with_suffix(".log.jsonl").read_text().splitlines()]

    @property
    def cells(self) -> list[Any]:
        """The cells as the record counts them: without those that mark a failure."""
        return [cell for cell in self.notebook.cells if invariants.MARKER not in cell.metadata.get("tags", ())]

    @property
    def states(self) -> list[str]:
        """The states of the code cells."""
        return [cell["state"] for cell in self.record["cells"]]

    @property
    def error(self) -> dict[str, Any]:
        """The record's error."""
        error: dict[str, Any] = self.record["error"]
        return error

    def text(self, index: int, stream: str = "stdout") -> str:
        """What a cell of the executed notebook printed."""
        outputs = self.cells[index].outputs
        return "".join(each["text"] for each in outputs if each.get("name") == stream)

    def shown(self) -> list[dict[str, Any]]:
        """What the log's stream showed, as JSON lines."""
        return [json.loads(line) for line in self.stdout.splitlines()]


class Running:
    """A run under way; as a context it is ended with the block, whatever happens."""

    def __init__(self, command: Sequence[str], output: Path, **options: Any) -> None:
        self.output = output
        self.before = output.read_bytes() if output.is_file() else None
        self.mark = secrets.token_hex(8)
        environment = os.environ | {processes.MARK: self.mark} | dict(options.pop("env", None) or {})
        environment = {name: value for name, value in environment.items() if value is not None}
        stdin = options.pop("stdin", None)
        self._started = time.monotonic()
        self._code: int | None = None
        self.memory = 0
        self._stdout, self._stderr = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - see _close
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=options.pop("stdout", self._stdout),
            stderr=self._stderr,
            **options,
        )
        if self.process.stdin is not None:
            self.process.stdin.write(stdin)
            self.process.stdin.close()

    @property
    def shown(self) -> str:
        """What came to standard output so far."""
        return self._read(self._stdout)

    @property
    def complained(self) -> str:
        """What came to standard error so far."""
        return self._read(self._stderr)

    def wait_for(self, text: str, seconds: float = 30.0) -> Self:
        """Wait until the log shows a text."""
        seen = processes.until(lambda: text in self.shown or self._has_ended(), seconds)
        assert seen, f"{text!r} is not in the log after {seconds} s: {self.shown}"
        assert text in self.shown, f"the run ended without {text!r}: {self.shown}"
        return self

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self._has_ended()

    @property
    def kernel(self) -> int:
        """The kernel's pid."""
        found = [pid for pid in processes.marked(self.mark) if "connection.json" in processes.command_of(pid)]
        assert len(found) == 1, found
        return found[0]

    @property
    def watchdog(self) -> int:
        """The pid of the process that outlives the runner: its fork, so that it has the same command line."""
        command = processes.command_of(self.process.pid)
        found = [pid for pid in processes.marked(self.mark) if processes.command_of(pid) == command]
        (watchdog,) = {*found} - {self.process.pid}
        return watchdog

    def signal(self, number: signal.Signals) -> Self:
        """Send the runner a signal."""
        self.process.send_signal(number)
        return self

    def finish(self, seconds: float = 60.0, *, check: bool = True) -> Done:
        """Wait for the end, which must come in time, leave no process, and break no promise."""
        end = time.monotonic() + seconds
        while not self._has_ended():
            if time.monotonic() > end:
                shown = self.shown
                self.stop()
                raise AssertionError(f"I5: the run did not end within {seconds} s: {shown[-2000:]}")
            self.memory = max(self.memory, processes.memory_bytes(self.process.pid))
            time.sleep(POLL_SECONDS)
        took = time.monotonic() - self._started
        self._code = self.process.wait()
        left = self._left_behind()
        done = Done(self._code, self.shown, self.complained, took, self.output, self.memory)
        broken = [*left, *invariants.violations(self.output, code=self._code, before=self.before)]
        assert not (check and broken), f"{broken}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        self._close()
        return done

    def _has_ended(self) -> bool:
        """Whether the process has ended; it is not reaped, so that its pid stays its own."""
        if self.process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None

    def stop(self) -> None:
        """End whatever is left of the run."""
        self._kill([*processes.marked(self.mark), *([self.process.pid] if self.process.returncode is None else [])])
        self.process.wait()
        self._close()

    def _kill(self, pids: Iterable[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _left_behind(self) -> list[str]:
        processes.until(lambda: not processes.marked(self.mark), LEFT_BEHIND_SECONDS)
        left = processes.marked(self.mark)
        named = [f"I4: process {pid} is left behind: {processes.command_of(pid)}" for pid in left]
        self._kill(left)
        return named

    def _read(self, file: Any) -> str:
        return os.pread(file.fileno(), 1 << 28, 0).decode(errors="replace")

    def _close(self) -> None:
        for file in (self._stdout, self._stderr):
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.stop()
        self._close()


def start(
    folder: Path,
    cells: Cells,
    *options: str,
    command: Sequence[str] = RUNNER,
    kernelspec: Mapping[str, str] | None = notebooks.PYTHON,
    output: str = "out.ipynb",
    **process: Any,
) -> Running:
    """Start ``nbstep-runner INPUT OUTPUT OPTIONS`` on a notebook with these cells, or on a file."""
    source = cells if isinstance(cells, Path) else notebooks.write(folder / "in.ipynb", cells, kernelspec=kernelspec)
    return Running([*command, str(source), str(folder / output), *options], folder / output, **process)


def run(folder: Path, cells: Cells, *options: str, seconds: float = 60.0, check: bool = True, **how: Any) -> Done:
    """Such a run to its end, with the checks of :meth:`Running.finish`."""
    with start(folder, cells, *options, **how) as running:
        return running.finish(seconds, check=check)


def command(*arguments: str, stdin: bytes | None = None, **process: Any) -> subprocess.CompletedProcess[bytes]:
    """The command with any arguments, for what is not a run."""
    return subprocess.run(
        [*RUNNER, *arguments],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        check=False,
        timeout=60,
        **process,
    )
