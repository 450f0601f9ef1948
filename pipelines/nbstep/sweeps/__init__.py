"""Many runs of one notebook on this machine: parameter sets, the worker that makes the runs, the table of what came.

The folder is not named ``sweep``, because a module of that name would hide the function :func:`nbstep.sweep`.
"""
