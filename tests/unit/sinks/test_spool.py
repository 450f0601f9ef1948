from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbstep_runner

SOURCE = str(Path(nbstep_runner.__file__).parents[1])

FILL = """
import resource, sys
from pathlib import Path
from nbstep_runner.sinks.spool import Spool
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
spool = Spool(Path(sys.argv[1]))
written = [spool.write(b"x" * 299 + b"\\n") for _ in range(5)]
print(written, spool.bytes, spool.failure)
"""


def test_a_full_disk_cuts_the_file_after_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(path)], env={"PYTHONPATH": SOURCE}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[True, True, True, False, False] 900 File too large\n"
    assert path.read_bytes() == (b"x" * 299 + b"\n") * 3
