"""A team's server asked what its own description allows, and what it does not: by schemathesis, over HTTP.

What is refused has to be refused as described, and nothing may be a fault of the server. That a request fits its schema
and is refused all the same is no fault: whether a cursor or a notebook is one, no schema says.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx
import yaml

from nbstep.server.access import new_token
from nbstep.server.team.identity import digest
from support import notebooks
from support.processes import until

NBSTEP: Final = Path(sys.executable).with_name("nbstep")
CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "missing_required_header",
    "ignored_auth",
)


def main(schemathesis: str, *arguments: str) -> int:
    """Ask everything; the exit code is schemathesis' own, or 1 if the server has told of a fault."""
    token = new_token()
    with TemporaryDirectory() as folder, served(Path(folder), token) as address:
        headers = {"authorization": f"Bearer {token}"}
        asked = {"notebook": f"{folder}/notebooks/a.ipynb", "run_id": "known"}
        httpx.post(f"{address}v1/runs", json=asked, headers=headers, trust_env=False, timeout=120).raise_for_status()
        known = Path(folder, "known.toml")
        known.write_text(f'[parameters]\n"path.id" = "known"\n"query.uri" = {json.dumps(asked["notebook"])}\n')
        command = [schemathesis, "--config-file", str(known), "run", f"{address}openapi.json"]
        command += [
            "--checks",
            ",".join(CHECKS),
            "--header",
            f"Authorization: Bearer {token}",
            "--no-color",
            *arguments,
        ]
        return subprocess.run(command, check=False).returncode


@contextmanager
def served(folder: Path, token: str) -> Iterator[str]:
    """A server of a folder of runs that go nowhere, until the end of the block.

    Raises:
        SystemExit: It has told of a fault.
    """
    notebooks.write(folder / "notebooks/a.ipynb", [notebooks.Code("n: int = 1", tags=("parameters",)), "n"])
    (folder / "tokens.yaml").write_text(yaml.safe_dump({"tokens": [{"name": "submitter", "sha256": digest(token)}]}))
    document = {
        "folders": {
            "team": {
                "uri": str(folder / "runs"),
                "profiles": ["p"],
                "readers": ["submitter"],
                "submitters": ["submitter"],
            }
        },
        "notebooks": [str(folder / "notebooks")],
        "profiles": {"p": {"on": "memory", "open": ["retries"]}},
        "access": {"tokens": str(folder / "tokens.yaml")},
        "limits": {"requests_per_minute": 10**6, "submissions_per_minute": 10**6, "stream_seconds": 1.0},
    }
    (folder / "server.yaml").write_text(yaml.safe_dump(document))
    log = folder / "log"
    with log.open("w") as lines:
        command: list[str | Path] = [NBSTEP, "server", "--config", folder / "server.yaml", "--port", "0"]
        with subprocess.Popen(command, cwd=folder, stderr=lines) as process:
            try:
                assert until(lambda: log.read_text().endswith("\n"), 120), log.read_text()
                yield log.read_text().split()[-1]
            finally:
                process.terminate()
                process.wait(120)
    told = [json.loads(line) for line in log.read_text().splitlines()[1:]]
    faults = [line for line in told if line["severity"] == "ERROR"]
    if faults or process.returncode != 0:
        raise SystemExit(json.dumps(faults[:3], indent=2) or f"the server ended with {process.returncode}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
