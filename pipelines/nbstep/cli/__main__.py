"""``python -m nbstep.cli``."""

from nbstep.cli.main import main

if __name__ == "__main__":
    main()
