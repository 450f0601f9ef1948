"""What the log costs: CPU seconds and peak memory for a million printed lines, one huge print, many small messages.

Run it as ``PYTHONPATH=runner python tests/benchmarks/log_sink.py``; each workload runs in a process of its own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from nbstep_runner.contract import StreamText
from nbstep_runner.sinks import LogFormat, LogSink

LINE = "epoch 12/100  loss=0.123456  accuracy=0.987654\n"


def million_lines() -> Iterator[str]:
    """A million prints of one line, in the batches that a kernel that flushes each 10 ms sends."""
    for _ in range(400):
        yield LINE * 2500


def hundred_megabytes() -> Iterator[str]:
    """One print of 100 MB without a newline."""
    yield "x" * 100_000_000


def small_messages() -> Iterator[str]:
    """A hundred thousand messages of one line each."""
    for _ in range(100_000):
        yield LINE


WORKLOADS = {function.__name__: function for function in (million_lines, hundred_megabytes, small_messages)}


def measure(workload: str, log_format: LogFormat) -> str:
    """One workload through a log with a file and a pipe that is read at once."""
    reading, writing = os.pipe()
    received = 0

    def read() -> None:
        nonlocal received
        while data := os.read(reading, 1 << 20):
            received += len(data)

    reader = threading.Thread(target=read)
    reader.start()
    before, started, cpu = _peak(), time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder, os.fdopen(writing, "wb", buffering=0) as stream:
        sink = LogSink("run-1", 1, path=Path(folder) / "log.jsonl", stream=stream, format=log_format)
        for text in WORKLOADS[workload]():
            sink.handle(StreamText(3, "0123abcd", "stdout", text))
        fed = time.perf_counter() - started
        sink.close(60)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - started
    reader.join()
    return (
        f"{workload:18} {log_format:8} cpu {cpu:5.2f} s  wall {wall:5.2f} s  fed in {fed:5.2f} s"
        f"  peak +{_peak() - before:4d} MB  lines {sink.lines}  file {sink.bytes >> 20} MB  stream {received >> 20} MB"
    )


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> None:
    """Measure everything, or the one workload and format that the arguments name."""
    if len(sys.argv) == 3:
        print(measure(sys.argv[1], LogFormat(sys.argv[2])))  # noqa: T201 - a script that reports
        return
    for workload in WORKLOADS:
        for log_format in LogFormat:
            subprocess.run([sys.executable, __file__, workload, log_format], check=True)


if __name__ == "__main__":
    main()
