"""A GPU that is too small or missing is told in words."""

from __future__ import annotations

import pytest

from nbstep_runner.engine.messages import Raised
from nbstep_runner.engine.verdict import failure
from nbstep_runner.errors import CellFailedError
from support.notebooks import notebook


def hint(name: str, value: str) -> str:
    info = failure(0, notebook(["fit()"])["cells"][0], Raised(name, value), "").error
    assert info is not None
    return info.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 GiB (GPU 0; 15.77 GiB total capacity"),
        ("RuntimeError", "CUDA error: out of memory\nCUDA kernel errors might be reported later"),
        ("OutOfMemoryError", "HIP out of memory. Tried to allocate 2.00 GiB"),
        ("OutOfMemoryError", "Out of memory allocating 8,000,000,000 bytes (allocated so far: 512 bytes)."),
        ("XlaRuntimeError", "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4294967296 bytes."),
        ("ResourceExhaustedError", "{{function_node}} OOM when allocating tensor with shape[4096,4096]"),
    ],
)
def test_a_gpu_that_is_too_small(name: str, value: str) -> None:
    assert hint(name, value).startswith("The GPU's memory was too small, not the machine's")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RuntimeError", "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"),
        ("RuntimeError", "No CUDA GPUs are available"),
        ("AssertionError", "Torch not compiled with CUDA enabled"),
        ("CUDARuntimeError", "cudaErrorNoDevice: no CUDA-capable device is detected"),
        ("RuntimeError", "Unknown backend: 'gpu' requested, but no platforms that are instances of gpu are present."),
        ("RuntimeError", "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False."),
    ],
)
def test_no_gpu(name: str, value: str) -> None:
    assert hint(name, value).startswith("There is no GPU here that the notebook can use")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MemoryError", "out of memory"),
        ("ValueError", "no GPU column"),
        ("KeyError", "'CUDA'"),
        ("ValueError", "CUDA " * 200_000),
    ],
)
def test_other_errors_keep_their_hint(name: str, value: str) -> None:
    assert hint(name, value) == CellFailedError.default_hint
