"""A worker that makes many runs: it has imported the session once, and forks a process for each run.

An internal command, started by the launcher: ``python -m nbstep_runner.sweep``. Nothing here lasts longer than the
worker, and a run that it makes is the same as one that ``nbstep-runner`` makes: a process and a kernel of its own.
"""
