"""Python's garbage collector, which has nothing to find in what a start imports: looking costs a run a twelfth."""

from __future__ import annotations

import gc


def pause() -> None:
    """Collect nothing from now on."""
    gc.disable()


def resume() -> None:
    """Collect again what comes from now on; what is there stays. Nothing happens where there was no pause."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
