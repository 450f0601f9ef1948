"""The processes below a kernel: found, ended, reaped."""

from __future__ import annotations

from collections.abc import Collection

TOKEN_VARIABLE = "NBSTEP_RUN_TOKEN"  # noqa: S105 - the name of a variable
"""Set in a kernel's environment to a run's token: every process that carries it belongs to the run."""


def become_subreaper() -> bool:
    """Make orphaned descendants our children, so that none is lost; whether the system could."""
    return False


def descendants(pid: int) -> list[int]:
    """Every living descendant of a process, parents first."""
    del pid
    return []


def reap_zombies(exclude: Collection[int] = ()) -> list[int]:
    """Collect children that have ended, except those that others wait for; the pids that were collected."""
    del exclude
    return []


def kill_tree(pid: int, *, grace: float, token: str | None = None, own_all_children: bool = False) -> list[int]:
    """End a process and everything below it: SIGTERM, ``grace`` seconds, SIGKILL, until none is left.

    Returns:
        The pids that could not be ended; empty as a rule.
    """
    del pid, grace, token, own_all_children
    return []
