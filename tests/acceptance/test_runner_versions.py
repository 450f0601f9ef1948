"""A spec made by another version of nbstep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbstep_runner.contract import RunSpec, encode
from support.notebooks import write
from support.runs import command


@pytest.mark.fault(72)
def test_what_an_older_runner_does_not_know_is_refused(tmp_path: Path) -> None:
    notebook, output = write(tmp_path / "in.ipynb", ["1"]), tmp_path / "out.ipynb"
    spec = json.loads(encode(RunSpec(run_id="r", input_uri=str(notebook), output_uri=str(output))))
    asked = tmp_path / "spec.json"
    asked.write_text(json.dumps(spec | {"loud": True, "needs": ["loud>=0.8"]}))
    done = command("--spec", str(asked))
    record = json.loads((tmp_path / "out.result.json").read_text())
    assert (done.returncode, record["exit_code"], record["state"]) == (65, 65, "failed")
    assert record["error"]["message"].startswith("the run asks for 'loud' (of nbstep 0.8), which nbstep ")
    assert record["error"]["message"] in done.stdout.decode()
    assert (done.stderr, output.exists(), record["cells"]) == (b"", False, [])
