"""A worker for many runs: it has imported the session once, and forks as many processes as there are runs at once.

An internal command, started by the launcher: ``python -m nbstep_runner.sweep``. Nothing here lasts longer than the
worker, and a run that it makes is the same as one that ``nbstep-runner`` makes: with a kernel of its own.
"""
