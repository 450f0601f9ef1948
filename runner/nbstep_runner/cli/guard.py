"""The watchdog of a run that a command makes."""

from __future__ import annotations

import os

from nbstep_runner.kernel.watchdog import Watchdog


def make_watchdog() -> Watchdog:
    """Fork it; nothing else is imported before, and the process may have no threads yet."""
    return Watchdog(os.urandom(16).hex(), settle=_settle)


def _settle(claimed: bytes) -> None:
    from nbstep_runner.session.abandoned import settle

    settle(claimed)
