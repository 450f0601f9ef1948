"""IPython's shell as a run wants it: see ``slim_ipykernel``. Loaded by path; it imports nothing of ours."""

import builtins
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import wraps
from typing import Any

KEPT_OUTPUT = 16 * 2**20
"""Characters of output that the kernel keeps for ``%notebook``; the executed notebook has its own limits."""


def patch_shell(application: Any) -> None:
    """Give the shell of an initialized application the behaviour that ``slim_ipykernel`` promises."""
    _skip_compiling_for_await()
    _keep_few_outputs(application.shell)
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


class _Outputs(defaultdict[int, list[Any]]):
    """Takes the place of ``HistoryManager.outputs``: what is past :data:`KEPT_OUTPUT` is not kept."""

    def __init__(self) -> None:
        super().__init__()
        self.room = KEPT_OUTPUT

    def __missing__(self, execution_count: int) -> list[Any]:
        self[execution_count] = made = _OutputList(self)
        return made

    def spend(self, size: int) -> bool:
        """Whether there is room for so much more."""
        self.room -= size
        return self.room >= 0


class _OutputList(list[Any]):
    """The outputs of one cell."""

    def __init__(self, outputs: _Outputs) -> None:
        super().__init__()
        self._outputs = outputs

    def append(self, output: Any) -> None:
        """Keep an output, while there is room."""
        if self._outputs.spend(sum(len(str(value)) for value in output.bundle.values())):
            super().append(output)


def _keep_few_outputs(shell: Any) -> None:
    """IPython 9 keeps all output for ``%notebook``, each printed piece by itself."""
    from ipykernel.iostream import OutStream

    if not hasattr(shell.history_manager, "outputs"):
        return
    outputs = shell.history_manager.outputs = _Outputs()

    def tee(channel: str) -> AbstractContextManager[None]:
        stream = getattr(sys, channel)
        if outputs.room < 0 or not isinstance(stream, OutStream):
            return nullcontext()
        return _kept(stream, _Printed(shell, outputs, f"{channel[3:]}_stream"))

    if hasattr(shell, "_tee"):
        shell._tee = tee


@contextmanager
def _kept(stream: Any, printed: "_Printed") -> Iterator[None]:
    """Keep what is printed to a stream meanwhile."""
    before = stream.__dict__.get("write")

    def write(text: Any) -> Any:
        if printed.keeps_nothing:
            return type(stream).write(stream, text)  # looked up each time: a forked child has another one
        printed.keeps_nothing = True  # what the stream itself writes for it, a piece at a time, is no other text
        try:
            written = type(stream).write(stream, text)
        finally:
            printed.keeps_nothing = False
        printed.keep(text)
        return written

    stream.write = write
    try:
        yield
    finally:
        if before is None:
            del stream.write
        else:
            stream.write = before


class _Printed:
    """What one cell prints to one stream; one call for each text, so that it costs little.

    Attributes:
        keeps_nothing: While the stream writes a text, maybe piece by piece, and once there is no room.
    """

    def __init__(self, shell: Any, outputs: _Outputs, kind: str) -> None:
        from IPython.core.history import HistoryOutput

        self._shell = shell
        self._displays, self._results = shell.display_pub, shell.displayhook  # traits, which are slow to ask for
        self._outputs = outputs
        self._count = shell.execution_count
        self._kind = kind
        self._output: Any = HistoryOutput
        self.keeps_nothing = False

    def keep(self, text: Any) -> None:
        """Keep a text that was written, but for what is part of an output that is kept by other means."""
        if not text:
            return
        outputs = self._outputs
        outputs.room -= len(text)
        if outputs.room < 0:
            self.keeps_nothing = True
        elif not (self._displays.is_publishing or self._results.is_active or self._shell.showing_traceback):
            kept = outputs[self._count]
            if not kept or kept[-1].output_type != self._kind:
                kept.append(self._output(output_type=self._kind, bundle={"stream": []}))
            if kept:
                kept[-1].bundle["stream"].append(text)
