"""``python -m nbstep_runner.sweep``: the plan comes on stdin, events go to stdout, both as lines of JSON.

The end of stdin is the end of whoever started the worker: the runs under way are saved and ended, as at SIGTERM.
"""

from __future__ import annotations

import argparse
import gc
import os

gc.disable()  # while importing; the worker turns it on again before it forks

from nbstep_runner.sweep.pool import WarmPool  # noqa: E402 - see above


def main() -> None:
    """Start the fork server before anything else is known or imported, then do what the plan says."""
    parser = argparse.ArgumentParser(prog="python -m nbstep_runner.sweep", description=__doc__)
    parser.add_argument("--cold", action="store_true", help="launch every kernel")
    parser.add_argument("--kernel", help="the kernel's name, if it is known")
    parser.add_argument("--told", action="store_true", help="begin the runs that further lines name, not all of them")
    parser.add_argument("--cwd", help="the kernels' working directory")
    arguments = parser.parse_args()
    pool = WarmPool(arguments.kernel, arguments.cwd, wanted=not arguments.cold)
    try:
        from nbstep_runner.sweep.worker import Worker

        code = Worker(pool, told=arguments.told).work()
    finally:
        pool.close()
    os._exit(code)


if __name__ == "__main__":
    main()
