"""One run from its claim to its record: nothing here knows a scheme, and nothing here knows papermill's ways."""

from nbstep_runner.session.run import RunTools, run_once

__all__ = ["RunTools", "run_once"]
