"""A run here and now: in a process of its own, watched to its end by whoever started it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbstep.backends.local.process import Child
from nbstep.views.log_lines import for_people, parse
from nbstep.views.status import RunStatus
from nbstep_runner.contract import RunResult, RunState, decode
from nbstep_runner.errors import InternalError
from nbstep_runner.parameters import dump_given

Hear = Callable[[bytes], None]
"""Called with each line of the run's log."""


def run_here(
    arguments: Sequence[str], output: str, parameters: Mapping[str, Any], *, progress: bool, print_log: bool
) -> RunResult | None:
    """Run ``nbstep-runner`` with these arguments and return the record of the run; ``None`` of one that only prepares.

    Args:
        arguments: The runner's command line.
        output: Where the executed notebook goes.
        parameters: Values by name, which the command line does not show.
        progress: Show how far the run is: a card in a notebook, a view on a terminal, nothing elsewhere.
        print_log: Print the log for people on standard error, in place of the progress.

    Raises:
        BadInputError: A parameter is of a type that no notebook can be given.
        InternalError: The runner ended without a record; what it said is on standard error.
    """
    with tempfile.TemporaryDirectory(prefix="nbstep-") as folder:
        file = Path(folder) / "record.json"
        command = [*arguments, "--log-format", "json", "--record-file", str(file)]
        if parameters:
            given = Path(folder) / "params.yaml"
            given.write_bytes(dump_given(parameters))
            command += ["--parameters_file", str(given)]
        with (
            _listener(output, progress=progress, print_log=print_log) as (hear, conclude),
            Child(command, program="nbstep.run") as child,
        ):
            for line in child.lines():
                hear(line)
            code = child.wait()
            record = decode(file.read_bytes(), RunResult) if file.exists() else None
            if record is not None:
                conclude(record)
    if record is None and code:
        raise InternalError(
            f"the run of {output} ended with the code {code} and left no record",
            hint="What the runner said about it is on standard error.",
        )
    return record


@contextmanager
def _listener(output: str, *, progress: bool, print_log: bool) -> Iterator[tuple[Hear, Callable[[RunResult], None]]]:
    """What hears the log's lines, and then the record."""
    from nbstep.views.jupyter import Card, in_jupyter

    if print_log:
        yield (lambda line: print(for_people(parse(line.rstrip(b"\n"))), file=sys.stderr)), lambda _: None  # noqa: T201 - that is what was asked for
    elif progress and in_jupyter():
        card = Card(Path(output).name, handle=output, output_uri=output)
        card.show(RunStatus(state=RunState.RUNNING))
        try:
            yield card.hear, lambda record: card.tell(RunStatus(state=record.state, record=record))
        finally:
            card.close()
    elif progress and sys.stderr.isatty():
        from rich.console import Console

        from nbstep.views.terminal import RunView

        with RunView(Console(stderr=True)) as view:
            yield view.feed, lambda _: None
    else:
        yield (lambda _: None), lambda _: None
