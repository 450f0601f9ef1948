"""The page of a run: what renders it is prepared beside the cells, and it is rendered when they have ended."""

from __future__ import annotations

from concurrent.futures import Future, wait
from typing import Final

from nbstep_runner.contract import RunResult, RunSpec
from nbstep_runner.kernel.memory import MemoryWatch
from nbstep_runner.kernel.processors import available_processors
from nbstep_runner.page import Page, renderer
from nbstep_runner.stores import Source
from nbstep_runner.supervisor import begin

PROCESSORS: Final = 2
MEMORY_BYTES: Final = 2 << 30
"""What a run has to have, processors by affinity and quota, for something to be prepared beside its cells."""


class RunPage:
    """The page of the run of one spec."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._renderer = renderer(spec.html_allow)
        self._rehearsal: Future[None] | None = None

    def prepare(self) -> None:
        """Import and compile what renders the page beside the kernel's start and the cells, which wait for no page.

        What a first page takes, 0.2 to 0.4 s of processor time, is spent then as far as kernel and cells leave one
        free. Where there are fewer than two it would delay the first cell, where a stop leaves next to no time it would
        delay the record, and where memory is scarce it would take 40 MB from the cells: nothing is begun there.
        """
        if not self._spec.html or self._spec.short_notice or available_processors() < PROCESSORS:
            return
        memory = MemoryWatch.start().limit_bytes()
        if memory is None or memory >= MEMORY_BYTES:
            self._rehearsal = begin(self._renderer.rehearse, "preparing the page")

    def render(self, notebook: Source, record: RunResult) -> Page:
        """The page of the executed notebook; see :meth:`~nbstep_runner.page.PageRenderer.render`."""
        if self._rehearsal is not None:
            wait([self._rehearsal])
        return self._renderer.render(notebook if isinstance(notebook, bytes) else notebook.read_bytes(), record)
