"""The packages by which papermill reaches clouds: in a folder of their own, since nbstep needs none of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PACKAGES = ("gcsfs", "boto3")  # papermill's extras gcs and s3
FOLDER = Path("bench-results", "cloud")


def install() -> Path:
    """The folder, with the packages in it."""
    if not FOLDER.exists():
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-warn-conflicts",
            "--target",
            str(FOLDER),
            *PACKAGES,
        ]
        subprocess.run(command, check=True)
    return FOLDER.absolute()
