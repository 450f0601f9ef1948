"""What is kept of a submission, so that it can be made again."""

from __future__ import annotations

from nbstep.backends.protocol import Submission
from nbstep.profiles import Profile, load_profile, overlaid
from nbstep.submission.again import kept_profile
from nbstep_runner.contract import RunSpec


def test_a_profile_is_read_again_as_it_is_kept() -> None:
    service = {"url": "https://runs.example.org", "folder": "team"}
    profile = load_profile(None, {"on": "local", "env": {"TOKEN": "x"}, "server": service, "retries": 1})
    spec = RunSpec(run_id="r", input_uri="in.ipynb", output_uri="out.ipynb")
    kept = kept_profile(Submission(spec=spec, spec_uri="spec.json", profile=profile))
    assert kept.pop("env") == {"TOKEN": None}
    again = overlaid(Profile(), kept)
    assert (again.service and again.service.url, again.retries) == ("https://runs.example.org", 1)
