"""The runner with a wall clock that jumps: ``jumping_runner.py SECONDS FILE INPUT OUTPUT …``.

From the moment that FILE exists, every reading of the wall clock in the runner's process is SECONDS later (or earlier).
No test can move the machine's clock, and a time namespace has no wall clock of its own.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from pathlib import Path
from typing import Any

OFFSET, SWITCH = float(sys.argv[1]), Path(sys.argv[2])
wall_clock, wall_clock_ns = time.time, time.time_ns


def offset() -> float:
    """What the clock is wrong by now."""
    return OFFSET if SWITCH.exists() else 0.0


class JumpingDatetime(dt.datetime):
    """Its ``now`` follows the wrong clock."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        """The wrong time."""
        return super().now(tz) + dt.timedelta(seconds=offset())


def main() -> None:
    """Bend the clock before anything of ours takes hold of it, and run."""
    time.time = lambda: wall_clock() + offset()
    time.time_ns = lambda: wall_clock_ns() + int(offset() * 1e9)
    dt.datetime = JumpingDatetime  # type: ignore[misc]  # the module's own class is replaced
    del sys.argv[1:3]
    from nbstep_runner.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
