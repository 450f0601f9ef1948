"""The command ``nbstep-runner``: arguments and environment to a spec, the verdict to an exit code."""
