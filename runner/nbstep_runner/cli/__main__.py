"""``python -m nbstep_runner.cli``: how a launcher starts a run with its own interpreter."""

from nbstep_runner.cli.main import main

if __name__ == "__main__":
    main()
