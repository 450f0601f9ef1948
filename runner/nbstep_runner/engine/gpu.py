"""Errors in which a GPU is too small or missing, told in words: libraries say it each in their own way."""

from __future__ import annotations

import re
from typing import Final

_TOO_SMALL: Final = re.compile(
    r"(CUDA|HIP|GPU)\b.*\bout of memory|OutOfMemoryError: .*(CUDA|HIP|GPU|allocating [\d,]+ bytes)"
    r"|RESOURCE_EXHAUSTED: Out of memory|ResourceExhaustedError: .*OOM when allocating"
    r"|cudaErrorMemoryAllocation|CUBLAS_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)
_MISSING: Final = re.compile(
    r"Found no NVIDIA driver|No CUDA GPUs are available|no CUDA-capable device|not compiled with CUDA enabled"
    r"|CUDA driver version is insufficient|cudaErrorNoDevice|torch\.cuda\.is_available\(\) is False"
    r"|Unknown backend:? '?(gpu|cuda)|No visible GPU devices",
    re.IGNORECASE,
)
_TOO_SMALL_HINT: Final = (
    "The GPU's memory was too small, not the machine's: take a smaller batch or model, or a GPU with more memory."
)
_MISSING_HINT: Final = (
    "There is no GPU here that the notebook can use: ask for one (--gpu 1) and take an image for it, or run on CPUs."
)


def gpu_hint(error: str) -> str:
    """What to do about an error where it is a GPU that was too small or missing; empty for any other."""
    return _TOO_SMALL_HINT if _TOO_SMALL.search(error) else _MISSING_HINT if _MISSING.search(error) else ""
