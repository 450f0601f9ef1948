"""Local runs of compiled pipelines through kfp's own local orchestrator, with six of its faults mended.

In kfp 2.17

* the DockerRunner lets a container be removed while it asks for its exit code, and takes a missing code for success
  (``docker_task_handler.run_docker_container``);
* the SubprocessRunner refuses container components (``subprocess_task_handler``);
* an optional int that is not given ends either with a TypeError (``executor_input_utils.executor_input_to_dict``);
* a whole number inside a text becomes ``2.0``, where a cluster writes ``2`` (the same function);
* two tasks of one component write over each other's outputs, because a task's folder has its component's name
  (``executor_input_utils.construct_local_task_root``);
* tasks that run at once each indent ``print`` and replace the root logger's handlers, and put back what another of them
  had put there (``logging_utils``): afterwards the whole process prints with an indent.

:func:`local_runs` replaces the first five while it lasts, and puts ``print`` and the root logger back at its end.
Everything else (order, conditions, caching, outputs) is kfp's.
"""

from __future__ import annotations

import builtins
import codecs
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from contextvars import ContextVar
from itertools import count
from pathlib import Path
from typing import Any, Final

from kfp import local
from kfp.local import config, docker_task_handler, executor_input_utils, status, subprocess_task_handler
from kfp.local.orchestrator import task_executor

from nbstep.backends.local.process import RUNNER
from nbstep_runner.kfp_adapter.executor_input import INSIDE

_TO_DICT: Final = executor_input_utils.executor_input_to_dict
_TASK_ROOT: Final = executor_input_utils.construct_local_task_root
_EXECUTE: Final = task_executor.execute_single_task
_TASK_FOLDER: ContextVar[list[str] | None] = ContextVar("task_folder", default=None)
PROGRAMS: Final = {"nbstep-runner": RUNNER, "nbstep": (sys.executable, "-P", "-m", "nbstep")}
"""The programs of our components, as processes of this interpreter."""
_DOCKER: Final = docker_task_handler.DockerTaskHandler
_PROCESS: Final = subprocess_task_handler.SubprocessTaskHandler


@contextmanager
def local_runs(
    folder: str | Path = "local_outputs",
    *,
    containers: bool = False,
    environment: Mapping[str, str] | None = None,
    cache: bool = False,
    **container_options: Any,
) -> Iterator[None]:
    """A context in which kfp pipelines and components that are called run on this machine.

    A step that fails raises ``RuntimeError``, as kfp says it; its executed notebook, page, log and record are in
    ``folder`` like those of every other.

    Args:
        folder: Below it each run of a pipeline has a folder, and each of its steps one in that.
        containers: Run each step in its image with Docker; otherwise notebook steps run as processes of this machine
            with this interpreter, and lightweight Python components as kfp's SubprocessRunner does it.
        environment: Further environment variables of every step.
        cache: Let kfp reuse outputs of equal steps.
        container_options: For ``containers.run`` of Docker's SDK, such as ``network``.
    """
    with ExitStack() as stack:
        for owner, name, ours in _MENDED:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, ours)
        stack.enter_context(_unchanged_output())
        runner = _runner(dict(environment or {}), container_options, containers=containers)
        local.init(runner=runner, pipeline_root=str(folder), enable_caching=cache)
        yield


@contextmanager
def _unchanged_output() -> Iterator[None]:
    """What prints and logs in this process is afterwards what it was before."""
    logger = logging.getLogger()
    printing, handlers, level = builtins.print, logger.handlers[:], logger.level
    try:
        yield
    finally:
        builtins.print = printing
        logger.handlers[:] = handlers
        logger.setLevel(level)


def _runner(environment: dict[str, str], options: Mapping[str, Any], *, containers: bool) -> Any:
    if containers:
        return local.DockerRunner(environment=environment, **{"user": f"{os.getuid()}:{os.getgid()}", **options})
    runner = local.SubprocessRunner(use_venv=False)
    runner.environment = environment
    return runner


def _to_dict(executor_input: Any, component_spec: Any) -> dict[str, Any]:
    """The conversion of kfp, without the values that are not given, and whole numbers for texts as such."""
    values = executor_input.inputs.parameter_values
    for name in [name for name, value in values.items() if value.WhichOneof("kind") in {None, "null_value"}]:
        del values[name]
    converted = dict(_TO_DICT(executor_input, component_spec))
    plain = converted.get("inputs", {}).get("parameterValues", {})
    for name, value in plain.items():
        if name.startswith(INSIDE) and isinstance(value, float) and value.is_integer():
            plain[name] = int(value)
    return converted


def _task_root(*place: Any, **named: Any) -> str:
    """A folder for one task alone, and for all its attempts: kfp's, numbered where another task has it already."""
    held = _TASK_FOLDER.get()
    if held:
        return held[0]
    folder = _new_folder(str(_TASK_ROOT(*place, **named)))
    if held is not None:
        held.append(folder)
    return folder


def _new_folder(wanted: str) -> str:
    Path(wanted).parent.mkdir(parents=True, exist_ok=True)
    numbered = (wanted if number == 1 else f"{wanted}-{number}" for number in count(1))
    return next(folder for folder in numbered if _made(folder))


def _made(folder: str) -> bool:
    try:
        Path(folder).mkdir()
    except FileExistsError:
        return False
    return True


def _execute(*task: Any, **named: Any) -> Any:
    """All attempts of one task, as kfp makes them."""
    token = _TASK_FOLDER.set([])
    try:
        return _EXECUTE(*task, **named)
    finally:
        _TASK_FOLDER.reset(token)


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


_MENDED: Final = (
    (docker_task_handler, "DockerTaskHandler", ContainerHandler),
    (subprocess_task_handler, "SubprocessTaskHandler", process_handler),
    (executor_input_utils, "executor_input_to_dict", _to_dict),
    (executor_input_utils, "construct_local_task_root", _task_root),
    (task_executor, "execute_single_task", _execute),
    (config.LocalExecutionConfig, "instance", None),
)
