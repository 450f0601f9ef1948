"""The command ``nbstep-runner``: arguments and environment to a spec, the verdict to an exit code."""

from typing import Final

TYPED_COMMAND: Final = "NBSTEP_TYPED_COMMAND"
"""The variable by which the command learns under which name a person started it, such as ``nbstep run``."""
