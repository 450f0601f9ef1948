"""The kernel of a run: started before anything else is known, replaced where the notebook names another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nbstep_runner.kernel import specs
from nbstep_runner.kernel.early import EarlyKernel
from nbstep_runner.kernel.memory import prefer_as_oom_victim
from nbstep_runner.kernel.process import KernelProcess
from nbstep_runner.processes import reap_zombies
from nbstep_runner.stores import hurry
from nbstep_runner.supervisor import Supervisor

if TYPE_CHECKING:
    from nbstep_runner.kernel.kernel import Kernel


@dataclass(frozen=True, slots=True)
class ReadyKernel:
    """A kernel that answers, and its ``kernel_info_reply``."""

    kernel: Kernel
    info: dict[str, Any]


class KernelSource:
    """Starts kernels for one run, and leaves none of their processes behind.

    Args:
        early: How kernels are launched, and perhaps the first one.
        supervisor: Tells of signals.
        spared: Children of this process that are none of the run's: all others are. ``None`` where this process does
            other things too: then only what descends from a kernel, or carries the run's token, is the run's.

    Attributes:
        memory: Watches the cgroup since before the first kernel started.
    """

    def __init__(self, early: EarlyKernel, supervisor: Supervisor, spared: tuple[int, ...] | None = None) -> None:
        self._spared = spared
        self._options = early.options
        self.memory = early.memory
        self._supervisor = supervisor
        self._process = early.process
        self._kernel: Kernel | None = None

    def ready(
        self, name: str | None, language: str | None, seconds: float, mask: Callable[[str], str] = str
    ) -> ReadyKernel:
        """The kernel that the notebook wants, once it answers; ``mask`` hides secrets in what one says that does not.

        Raises:
            KernelUnavailableError: There is none, it died, or it was not ready within ``seconds``.
            InterruptedRunError, TerminatedError: The run was stopped meanwhile.
        """
        from nbstep_runner.kernel.kernel import Kernel
        from nbstep_runner.kernel.start import await_ready

        spec = specs.choose(name, language)
        if self._process is None or (self._process.spec.argv, self._process.spec.env) != (spec.argv, spec.env):
            self.close()
            self._process = KernelProcess(spec, self._options)
        assert self._process is not None  # noqa: S101 - launched, or already there
        self._kernel = Kernel(self._process, self._supervisor.wake)
        prefer_as_oom_victim(self._process.pid)
        info = await_ready(self._kernel, seconds, self._look_up, mask)
        return ReadyKernel(self._kernel, info)

    def give(self, variables: Mapping[str, str]) -> None:
        """Let kernels have these variables in their environment; one that was launched without them is replaced."""
        if self._options.variables != variables:
            self.close()
            self._options = replace(self._options, variables=variables)

    @property
    def token(self) -> str:
        """Marks what belongs to the run."""
        return self._options.token

    @property
    def child(self) -> int | None:
        """The kernel's process where it is a child of this one, whose end somebody waits for."""
        return self._process.child if self._process else None

    def _look_up(self) -> None:
        self._supervisor.attend()
        self._supervisor.check()

    def close(self) -> None:
        """End the kernel and everything that it started, whatever their state."""
        if self._process is None:
            return
        self._process.dispose(self._spared)
        if self._kernel is not None:
            self._kernel.close()
        self._process = self._kernel = None


@contextmanager
def supervised(early: EarlyKernel, watchdog: int, grace: float) -> Iterator[tuple[Supervisor, KernelSource]]:
    """Hold this process's signals, reap what becomes its child, and leave no kernel behind.

    Args:
        early: How kernels are launched, and perhaps the first one.
        watchdog: The only child of this process that is not the run's.
        grace: Seconds from a stopping signal until the process has to be gone.
    """

    def reap_orphans() -> None:
        reap_zombies(exclude=[pid for pid in (watchdog, kernels.child) if pid is not None])

    with Supervisor(grace, on_child=reap_orphans, on_stop=hurry) as supervisor:
        kernels = KernelSource(early, supervisor, spared=(watchdog,))
        with closing(kernels):
            yield supervisor, kernels
