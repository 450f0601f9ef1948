"""What runs inside the container: one notebook, end to end, truthfully.

``nbstep_runner`` never imports ``nbstep`` and knows nothing of launchers, clusters or pipelines. Notebooks use
:func:`result` from here, and those that are served :func:`serve` with ``Array``, ``Image`` and ``Table``.
"""

from typing import TYPE_CHECKING, Any

from nbstep_runner.emit import result

if TYPE_CHECKING:
    from nbstep_runner.serving import Array, Image, Table, serve

__all__ = ["Array", "Image", "Table", "result", "serve"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """What only serving notebooks use is imported when they do."""
    if name in __all__:
        from nbstep_runner import serving

        return getattr(serving, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
