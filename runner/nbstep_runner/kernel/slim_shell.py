"""IPython's shell as a run wants it: see ``slim_ipykernel``. Loaded by path; it imports nothing of ours."""

from __future__ import annotations

import builtins
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial, wraps
from typing import Any

KEPT_OUTPUT = 16 * 2**20
"""Characters of output that the kernel keeps for ``%notebook``; the executed notebook has its own limits."""


def patch_shell(application: Any, streams: Any) -> None:
    """Give the shell of an initialized application the behaviour that ``slim_ipykernel`` promises."""
    _skip_compiling_for_await()
    _keep_few_outputs(application.shell, streams)
    _forget_errors_before_a_cell_that_awaits(application.shell)
    _publish_groups(application.shell)


def _skip_compiling_for_await() -> None:
    """A cell without either word has no ``await`` at its top level; IPython would compile it to find that out."""
    from IPython.core import interactiveshell

    shell: Any = interactiveshell
    compiles = getattr(shell, "_should_be_async", None)
    if compiles is not None:
        shell._should_be_async = lambda cell: ("await" in cell or "async" in cell) and compiles(cell)


def _forget_errors_before_a_cell_that_awaits(shell: Any) -> None:
    """Forget what an earlier cell raised, as ipykernel does for cells that do not await.

    Else a cell that succeeds is told as failed after one whose display raised, and the first error of a kernel, where
    IPython only prints it, ends without a reply.
    """
    run = shell.run_cell_async

    @wraps(run)
    async def run_afresh(*args: Any, **options: Any) -> Any:
        shell._last_traceback = None
        shell._last_traceback_during_displayhook = False
        return await run(*args, **options)

    shell.run_cell_async = run_afresh


def _publish_groups(shell: Any) -> None:
    """Publish a group of exceptions as any other error; IPython only prints it (``asyncio.TaskGroup`` raises one)."""
    import traceback

    show = shell.showtraceback

    @wraps(show)
    def show_any(exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        with suppress(ValueError):  # nothing has been raised
            kind, value, frames = shell._get_exc_info(exc_tuple)
            if not options.get("exception_only") and _holds_group(value):
                own = frames.tb_next if frames is not None else None  # without IPython's
                lines = "".join(traceback.format_exception(kind, value, own or frames)).splitlines()
                shell._showtraceback(kind, value, lines)
                return
        show(exc_tuple, *args, **options)

    shell.showtraceback = show_any


def _holds_group(error: BaseException | None) -> bool:
    """Whether an error is a group, or came while one was handled: those IPython does not format."""
    kind: Any = getattr(builtins, "BaseExceptionGroup", None)  # since Python 3.11
    seen = set()
    while kind is not None and error is not None and id(error) not in seen:
        if isinstance(error, kind):
            return True
        seen.add(id(error))
        error = error.__context__
    return False


class _Outputs(defaultdict):  # type: ignore[type-arg]  # Python 3.8 takes none
    """Takes the place of ``HistoryManager.outputs``: what is past :data:`KEPT_OUTPUT` is not kept.

    Attributes:
        room: Characters that may still be kept.
        heard: The streams that a running cell prints to.
    """

    def __init__(self, hand_over: Callable[[Any], None]) -> None:
        super().__init__()
        self.room = KEPT_OUTPUT
        self.heard: list[Any] = []
        self._hand_over = hand_over

    def __missing__(self, execution_count: int) -> list[Any]:
        self[execution_count] = made = _OutputList(self)
        return made

    def show(self, kept: list[Any], output: Any) -> None:
        """Keep what is shown after what was printed before it."""
        for stream in self.heard:
            self._hand_over(stream)
        if self._spend(sum(len(str(value)) for value in output.bundle.values())):
            list.append(kept, output)

    def print(self, execution_count: int, kind: Any, text: str) -> None:
        """Keep what was printed."""
        from IPython.core.history import HistoryOutput

        if not self._spend(len(text)):
            return
        kept = self[execution_count]
        if not kept or kept[-1].output_type != kind:
            list.append(kept, HistoryOutput(output_type=kind, bundle={"stream": []}))
        kept[-1].bundle["stream"].append(text)

    def _spend(self, size: int) -> bool:
        self.room -= size
        return self.room >= 0


class _OutputList(list):  # type: ignore[type-arg]  # as above
    """The outputs of one cell."""

    def __init__(self, outputs: _Outputs) -> None:
        super().__init__()
        self._outputs = outputs

    def append(self, output: Any) -> None:
        """Keep an output, while there is room."""
        self._outputs.show(self, output)


def _keep_few_outputs(shell: Any, streams: Any) -> None:
    """IPython 9 keeps all output for ``%notebook``, each printed piece by itself: here it is kept as it is sent."""
    from ipykernel.iostream import OutStream

    if not hasattr(shell.history_manager, "outputs") or not hasattr(shell, "_tee"):
        return
    outputs = shell.history_manager.outputs = _Outputs(streams.hand_over)

    @contextmanager
    def tee(channel: str) -> Iterator[None]:
        stream = getattr(sys, channel)
        if outputs.room < 0 or not isinstance(stream, OutStream):
            yield
            return
        keep = partial(outputs.print, shell.execution_count, f"{channel[3:]}_stream")
        outputs.heard.append(stream)
        try:
            with streams.heard(stream, keep):
                yield
        finally:
            outputs.heard.remove(stream)

    shell._tee = tee
