"""Memory and CPU of the kernel, and whether it was killed for memory: what the operating system knows."""

from __future__ import annotations

from pathlib import Path


class MemoryWatch:
    """The memory figures of the cgroup that this process is in."""

    @classmethod
    def start(cls, root: Path = Path("/")) -> MemoryWatch:
        """Find the cgroup and note its counters as they stand; never raises."""
        del root
        return cls()

    def oom_kills(self) -> int | None:
        """Processes of the cgroup killed for memory since the start; ``None`` where no counter can be read."""
        return None

    def peak_bytes(self) -> int | None:
        """The cgroup's peak memory use."""
        return None

    def limit_bytes(self) -> int | None:
        """The lowest memory limit that holds for the cgroup; ``None`` without one."""
        return None


def process_peak_bytes(pid: int) -> int | None:
    """The process's peak resident size; ``None`` where unknown."""
    del pid
    return None


def reset_process_peak(pid: int) -> bool:
    """Start the peak anew; whether that was possible."""
    del pid
    return False


def cpu_seconds(pid: int) -> float | None:
    """CPU time of the process and of the children it has waited for; ``None`` where unknown."""
    del pid
    return None


def prefer_as_oom_victim(pid: int) -> None:
    """Make the kernel, not the runner, the process that is killed when memory runs out; never raises."""
    del pid
