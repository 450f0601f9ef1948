"""``python -m nbstep``."""

from nbstep.cli.main import main

if __name__ == "__main__":
    main()
