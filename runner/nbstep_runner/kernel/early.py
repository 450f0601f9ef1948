"""The kernel's launch before anything else is known or imported."""

from __future__ import annotations

from dataclasses import dataclass

from nbstep_runner.errors import NbstepError
from nbstep_runner.kernel import specs
from nbstep_runner.kernel.memory import MemoryWatch
from nbstep_runner.kernel.process import KernelProcess, LaunchOptions


@dataclass(frozen=True, slots=True)
class EarlyKernel:
    """How kernels of this run are launched, the one that was launched, and the memory counters from before it.

    ``process`` is ``None`` where it could not be launched: the run says why once it knows that it wants it.
    """

    options: LaunchOptions
    process: KernelProcess | None
    memory: MemoryWatch


def launch_early(name: str | None, options: LaunchOptions, *, wanted: bool = True) -> EarlyKernel:
    """Launch the kernel of that name, or the default one, unless none is wanted."""
    memory = MemoryWatch.start()
    spec = specs.guess(name) if wanted else None
    try:
        return EarlyKernel(options, KernelProcess(spec, options) if spec else None, memory)
    except NbstepError:
        return EarlyKernel(options, None, memory)
