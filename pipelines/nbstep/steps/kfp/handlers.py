"""How a step runs here: as a container whose exit code is read before it is removed, or as a process."""

from __future__ import annotations

import codecs
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from kfp.local import docker_task_handler, status, subprocess_task_handler

from nbstep.backends.local.process import RUNNER

PROGRAMS: Final = {"nbstep-runner": RUNNER, "nbstep": (sys.executable, "-P", "-m", "nbstep")}
"""The programs of our components, as processes of this interpreter."""
_DOCKER: Final = docker_task_handler.DockerTaskHandler
_PROCESS: Final = subprocess_task_handler.SubprocessTaskHandler


class ContainerHandler(_DOCKER):  # type: ignore[misc, valid-type]  # kfp has no types
    """Runs a step's container and reads its exit code before the container is removed."""

    def run(self) -> Any:
        """The step's status.

        Raises:
            ClusterUnavailableError: No daemon answers.
            NotStartedError: The image cannot be had.
        """
        from nbstep.backends.docker.engine import Engine

        Path(self.pipeline_root).mkdir(parents=True, exist_ok=True)  # else Docker makes it, and root owns it
        Engine().provide(self.image, pull=False)
        with closing(docker_task_handler.docker.from_env()) as client:  # kfp's own import of Docker's SDK
            code = self._code(client)
        return status.Status.SUCCESS if code == 0 else status.Status.FAILURE

    def _code(self, client: Any) -> int:
        options = dict(self.runner.container_run_args)
        container = client.containers.run(
            image=self.image,
            entrypoint=[],
            command=self.full_command,
            detach=True,
            environment=self.env_vars,
            volumes=self.get_volumes_to_mount(client),
            **options,
        )
        try:
            for text in codecs.iterdecode(container.logs(stream=True), "utf-8", errors="replace"):
                print(text, end="")  # noqa: T201 - kfp's runners show a step's log like this
            return int(container.wait()["StatusCode"])
        finally:
            container.remove(force=True)


def process_handler(*, full_command: list[str], **rest: Any) -> Any:
    """Ours for notebook steps, kfp's own for every other component."""
    if full_command and full_command[0] in PROGRAMS:
        return ProcessHandler(full_command, rest["runner"], rest.get("env_vars") or {})
    return _PROCESS(full_command=full_command, **rest)


class ProcessHandler:
    """Runs a notebook step as a process of this machine."""

    def __init__(self, full_command: list[str], runner: Any, env_vars: Mapping[str, str]) -> None:
        self._command = [*PROGRAMS[full_command[0]], *full_command[1:]]
        self._environment = {**os.environ, **env_vars, **getattr(runner, "environment", {})}

    def run(self) -> Any:
        """The step's status; where this process is interrupted, the step saves what it has and ends first."""
        process = subprocess.Popen(  # noqa: S603 - our own runner; no shell
            self._command,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        with process.stdout:
            try:
                for line in process.stdout:
                    print(line, end="")  # noqa: T201 - kfp's runners show a step's log like this
                process.wait()
            except BaseException:
                process.terminate()
                process.communicate()
                raise
        return status.Status.SUCCESS if process.returncode == 0 else status.Status.FAILURE
