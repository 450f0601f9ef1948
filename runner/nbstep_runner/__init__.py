"""What runs inside the container: one notebook, end to end, truthfully.

``nbstep_runner`` never imports ``nbstep`` and knows nothing of launchers, clusters or pipelines. Notebooks use one
name from here, :func:`result`, which needs no configuration.
"""

from nbstep_runner.emit import result

__all__ = ["result"]
__version__ = "0.1.0"
