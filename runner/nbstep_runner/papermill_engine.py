"""The engine for papermill's own users: ``papermill --engine nbstep IN OUT``.

papermill loads this module whenever it is imported (entry point ``papermill.engine``), so it imports nothing until it
is used. It gives papermill what an engine can: true cell states, no save in the loop, bounded output, no process left
behind. Claims, checkpoints, verified publication and exit codes are ``nbstep-runner``'s.
"""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbstep_runner.contract import Event, RunSpec

logger = logging.getLogger("papermill")


class NbstepEngine:
    """papermill's ``Engine`` interface (papermill 2.7, ``engines.py``), not its base class, which saves each cell."""

    @classmethod
    def nb_kernel_name(cls, nb: Any, name: str | None = None) -> str:
        """The kernel's name: as asked for, else as the notebook says, else Python's."""
        return name or nb.metadata.get("kernelspec", {}).get("name") or "python3"

    @classmethod
    def nb_language(cls, nb: Any, language: str | None = None) -> str:
        """The language: as asked for, else as the notebook says, else Python."""
        said = nb.metadata.get("language_info", {}).get("name") or nb.metadata.get("kernelspec", {}).get("language")
        return language or said or "python"

    @classmethod
    def execute_notebook(cls, nb: Any, kernel_name: str | None, **options: Any) -> Any:
        """Execute a parameterized notebook and return it; papermill raises for the error that it holds.

        Args:
            nb: A ``NotebookNode`` of nbformat 4.
            kernel_name: The kernel to use.
            **options: papermill's; ``log_output``, ``start_timeout`` and ``execution_timeout`` are used.
        """
        import nbformat

        executed = _execute(nbformat.writes(nbformat.v4.upgrade(nb)).encode(), _spec(kernel_name, options), options)
        return nbformat.reads(executed.decode(), as_version=4)


def _spec(kernel_name: str | None, options: dict[str, Any]) -> RunSpec:
    from nbstep_runner.contract import Deadlines, RunSpec

    return RunSpec(
        run_id="papermill",
        input_uri=str(options.get("input_path") or ""),
        output_uri=str(options.get("output_path") or ""),
        kernel=kernel_name,
        deadlines=Deadlines(cell=options.get("execution_timeout"), start=float(options.get("start_timeout") or 60)),
        checkpoint_seconds=0,
        error_cells=False,  # papermill makes its own
    )


def _execute(data: bytes, spec: RunSpec, options: dict[str, Any]) -> bytes:
    """Run a notebook's bytes in this process, which may have other children and other signal handlers."""
    from secrets import token_hex

    from nbstep_runner.engine.notebook_run import Tools, run_notebook
    from nbstep_runner.kernel.early import launch_early
    from nbstep_runner.kernel.process import LaunchOptions
    from nbstep_runner.masking import Masker
    from nbstep_runner.notebook import parse_notebook
    from nbstep_runner.session.kernels import KernelSource
    from nbstep_runner.session.scratch import Scratch
    from nbstep_runner.supervisor import Supervisor

    supervisor = Supervisor(spec.deadlines.grace)
    early = launch_early(spec.kernel, LaunchOptions(token=token_hex(16)))
    kernels = KernelSource(early, supervisor)
    with closing(supervisor), closing(kernels), Scratch(early.options.token) as scratch:
        ready = kernels.ready(spec.kernel, None, spec.deadlines.start)
        tools = Tools(
            emit=_log if options.get("log_output") else _ignore,
            offer=_ignore,
            masker=Masker(()),
            supervisor=supervisor,
            memory=early.memory,
            scratch=scratch.folder,
            log_name="papermill's log",
        )
        document, _ = run_notebook(parse_notebook(data).content, ready.kernel, ready.info, spec, tools)
        with closing(document):
            executed = document.complete()
            return executed.read_bytes() if isinstance(executed, Path) else executed


def _log(event: Event) -> None:
    from nbstep_runner.contract import CellStarted, StreamText

    if isinstance(event, CellStarted):
        logger.info("Executing Cell %s: %s", event.index + 1, event.title)
    elif isinstance(event, StreamText):
        logger.log(logging.WARNING if event.stream == "stderr" else logging.INFO, "%s", event.text.rstrip("\n"))


def _ignore(_: Any) -> None:
    """Take no notice."""
