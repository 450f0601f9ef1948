"""A served notebook as a process of its own: started by its spec, ended with its block."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from nbstep_runner.contract import ParameterSource, RunResult, RunSpec, ServingOptions, decode, encode
from support import notebooks
from support.runs import RUNNER

GRACE_SECONDS = 20.0


class EndpointRun:
    """A run of a served notebook.

    Args:
        folder: Gets notebook, spec, and a folder for each start.
        cells: Of the notebook; with ``kernelspec`` those of another kernel.
        env: Besides this process's own environment.
        parameters: Of the notebook.
        options: Of its serving.
    """

    def __init__(
        self,
        folder: Path,
        cells: Sequence[notebooks.Cell],
        *,
        kernelspec: Mapping[str, str] | None = notebooks.PYTHON,
        env: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.folder = folder
        self._options: dict[str, Any] = {"name": "model"} | options
        notebook = notebooks.write(folder / "input.ipynb", cells, kernelspec=kernelspec)
        spec = RunSpec(
            run_id="endpoint",
            input_uri=str(notebook),
            output_uri=str(folder / "output.ipynb"),
            parameters=(ParameterSource.values(dict(parameters or {})),),
            serving=ServingOptions(**self._options),
        )
        (folder / "spec.json").write_bytes(encode(spec))
        grace = ("--grace-period", f"{GRACE_SECONDS:g}")
        self.process = subprocess.Popen(
            [*RUNNER, "--spec", str(folder / "spec.json"), "--log-format", "json", *grace],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(env or {}),
        )
        self.lines: list[dict[str, Any]] = []
        self.url = ""

    def until(self, text: str) -> dict[str, Any]:
        """The next line of the log whose message holds a text; fails where the log ends first."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line) if line.startswith(b"{") else {"message": line.decode()})
            if text in self.lines[-1]["message"]:
                return self.lines[-1]
        raise AssertionError([line["message"] for line in self.lines])

    def ready(self) -> httpx.Client:
        """A client of the endpoint, once it answers."""
        self.url = self.until("serving ")["message"].rpartition(" at ")[2]
        return httpx.Client(base_url=self.url, timeout=60)

    def stop(self) -> int:
        """Its exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        assert self.process.stdout is not None
        self.lines.extend(json.loads(line) for line in self.process.stdout if line.startswith(b"{"))
        return self.process.wait(60)

    @property
    def start(self) -> Path:
        """The folder of its only start."""
        (folder,) = self.folder.glob("endpoint-*")
        return folder

    @property
    def record(self) -> RunResult:
        """The record of its only start."""
        return decode((self.start / "output.result.json").read_bytes(), RunResult)

    def told(self, request: str) -> list[dict[str, Any]]:
        """What the log says of a request."""
        return [line for line in self.lines if line.get("fields", {}).get("request") == request]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()
