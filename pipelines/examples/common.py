"""What the examples share: where their notebooks are, and the image that their steps run in."""

from __future__ import annotations

import os
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
IMAGE = os.environ.get("NBSTEP_IMAGE", "nbstep-runner:data-science")
