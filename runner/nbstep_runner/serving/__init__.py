"""The HTTP side of a served notebook, in its kernel's process. A notebook uses ``serve`` and the marks of its types.

The runner talks to it by two cells that no notebook holds: :func:`nbstep_runner.serving.endpoint.prepare` before the
first cell, and :func:`nbstep_runner.serving.endpoint.begin` after the last. What it has to say goes over the kernel's
own channel. Nothing here knows stores, records or clusters.
"""

from nbstep_runner.serving.kinds import Array, Image, Table
from nbstep_runner.serving.offer import serve

__all__ = ["Array", "Image", "Table", "serve"]
