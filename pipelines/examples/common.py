"""What the examples share: their notebooks, the images of their steps, the place where the steps run, a last step.

``NBSTEP_PROFILE`` names a profile of ``profiles.yaml`` (``gcp`` or ``on-premises``): the same code compiles for either.
"""

from __future__ import annotations

import os
from pathlib import Path

from nbstep.profiles import load_profile

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
IMAGE = os.environ.get("NBSTEP_IMAGE", "nbstep-runner:data-science")
SERVING_IMAGE = os.environ.get("NBSTEP_SERVING_IMAGE", "nbstep-runner:serving")
PROFILE = load_profile(
    os.environ.get("NBSTEP_PROFILE", "here"), {}, path=str(Path(__file__).with_name("profiles.yaml"))
)
