"""Who listens to a run's events: the log, and whatever else is told of them through the same protocol.

Nothing here may block the kernel's message loop.
"""

from nbstep_runner.sinks.fanout import FanOut
from nbstep_runner.sinks.log import LogFormat, LogSink

__all__ = ["FanOut", "LogFormat", "LogSink"]
