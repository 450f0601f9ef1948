"""The process that runs take place in: its signals, its orphans, its kernels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from nbstep_runner.kernel.early import EarlyKernel
from nbstep_runner.processes import reap_zombies
from nbstep_runner.session.kernels import KernelSource
from nbstep_runner.stores import hurry
from nbstep_runner.supervisor import Supervisor


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
