"""``python -m nbstep``, which takes the working directory off the path: modules there are the notebooks', not ours."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]
    from nbstep.cli.main import main

    main()
