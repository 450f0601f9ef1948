"""A token goes to the service of the profile that names it, and to nobody else."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
import yaml

import nbstep
from nbstep import Profile
from nbstep.backends.registry import backend_named
from nbstep.backends.server.places import Places
from nbstep.backends.stores import named_runs
from nbstep.errors import ServiceDeniedError, ServiceUnavailableError
from nbstep.profiles import load_profile, overlaid, strict_yaml
from nbstep_runner.errors import BadInputError, InternalError, NbstepError, StorageUnavailableError, UsageError
from support import notebooks
from support.answering import Answer, answering

PROBLEM = '{"title": "t", "status": 500, "detail": "the \\u001b[31mstore is away", "reference": "%s", "hint": "Wait."}'


@pytest.fixture(autouse=True)
def own_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TEAM_TOKEN", "a-token")
    backend_named.cache_clear()  # so that no profile of another test is known
    yield
    backend_named.cache_clear()


def profiles(url: str, **server: Any) -> None:
    place = {"url": url, "folder": "team", "token": {"secret": "env:TEAM_TOKEN"}, **server}
    team = {"on": "server", "server": place, "storage": {"retry_seconds": 0.3}}
    Path("nbstep.yaml").write_text(yaml.safe_dump({"profiles": {"team": team, "odd": {"on": 3}}}))


def handle(url: str) -> str:
    return f"server://{url.partition('://')[2]}/team/r"


@pytest.mark.fault(62)
def test_it_is_sent_where_a_profile_names_the_service_and_a_handle_alone_names_nobody() -> None:
    with answering((404, {}, "")) as (url, asked), answering((404, {}, "")) as (other, nothing):
        profiles(url)
        with pytest.raises(NbstepError):
            nbstep.find(handle(url))
        assert asked[0].headers["Authorization"] == "Bearer a-token"
        for elsewhere in (handle(other), handle(f"{url}.evil.example"), f"server://{url[7:-1]}/team/r"):
            with pytest.raises(UsageError, match="no profile names the service of"):
                nbstep.find(elsewhere)
        assert nothing == []


def test_a_service_has_one_client_and_a_file_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Mock(wraps=httpx.Client)
    parse = Mock(wraps=strict_yaml.load)
    monkeypatch.setattr("nbstep.backends.server.client.httpx.Client", client)
    monkeypatch.setattr("nbstep.profiles.strict_yaml.load", parse)
    profiles(f"https://{secrets.token_hex(4)}.example/a")
    root = named_runs(load_profile("team", {}))
    places = Places()
    found = [places.of(f"{root}/{name}") for name in ("r", "s", "s/output.ipynb")]
    found.append(places.of(f"{root}2/r"))
    assert len({id(place.service) for place in found}) == 1
    assert (client.call_count, parse.call_count) == (1, 1)
    profiles(f"https://{secrets.token_hex(4)}.example/a")
    with pytest.raises(UsageError, match="no profile names"):
        places.of(f"{root}/r")


def test_a_broken_file_of_profiles_breaks_no_run_whose_profile_was_given() -> None:
    Path("nbstep.yaml").write_text("profiles: [")
    server = {"url": "https://a.example", "token": {"secret": "env:TEAM_TOKEN"}}
    places = Places()
    places.tell(overlaid(Profile(), {"on": "server", "server": server}))
    assert places.of("server://a.example/team/r").options.folder == "team"
    with pytest.raises(BadInputError, match=r"nbstep\.yaml cannot be read"):
        places.of("server://b.example/team/r")


@pytest.mark.fault(62)
def test_a_redirect_is_not_followed() -> None:
    with answering((200, {}, "{}")) as (other, nothing), answering((307, {"Location": other}, "")) as (url, asked):
        profiles(url)
        with pytest.raises(ServiceDeniedError, match="sends requests on to another address"):
            nbstep.find(handle(url))
        assert (len(asked), nothing) == (1, [])


def test_no_proxy_of_the_environment_hears_what_goes_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering((404, {}, "")) as (proxy, nothing), answering((404, {}, "")) as (url, asked):
        monkeypatch.setenv("http_proxy", proxy)
        profiles(url)
        with pytest.raises(NbstepError):
            nbstep.find(handle(url))
        assert (len(asked), nothing) == (1, [])


@pytest.mark.parametrize(
    ("answers", "kind", "message", "tries"),
    [
        ([(401, {}, "")], ServiceDeniedError, "stands before the service", 1),
        ([(404, {}, "<html>")], ServiceUnavailableError, "is no service of nbstep", 1),
        ([(200, {}, "<html>")], ServiceUnavailableError, "is no service of nbstep", 1),
        ([(200, {}, "[" * 100_000)], ServiceUnavailableError, "is no service of nbstep", 1),
        ([(200, {}, '{"id": 3}')], ServiceUnavailableError, "is no service of nbstep", 1),
        ([(500, {}, PROBLEM % "internal")], InternalError, "store is away", 1),
        ([(500, {}, PROBLEM % "of-a-newer-service")], ServiceUnavailableError, "store is away", 1),
        ([(503, {}, PROBLEM % "storage-unavailable")], StorageUnavailableError, r"the \\x1b\[31mstore is away", 2),
        ([(429, {}, PROBLEM % "busy"), (401, {}, "")], ServiceDeniedError, "refuses", 2),
        ([(413, {}, "")], BadInputError, "too large", 1),
    ],
)
def test_what_a_service_answers_becomes_one_of_our_errors(
    answers: list[Answer], kind: type[NbstepError], message: str, tries: int
) -> None:
    with answering(*answers) as (url, asked):
        profiles(url)
        with pytest.raises(kind, match=message) as caught:
            nbstep.find(handle(url))
        assert type(caught.value) is kind
        assert len(asked) >= tries
        if tries == 1:
            assert len(asked) == 1


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbstep.backends.server.client.PROBLEM_BYTES", 1000)
    with answering((500, {}, "x" * 2000)) as (url, _):
        profiles(url)
        with pytest.raises(ServiceUnavailableError, match="more than 1000 bytes"):
            nbstep.find(handle(url))


def test_a_token_that_is_none_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering((404, {}, "")) as (url, asked):
        profiles(url)
        for token, said in (("", "is empty"), ("two words", "holds is no token"), ("a\r\nb", "holds is no token")):
            monkeypatch.setenv("TEAM_TOKEN", token)
            with pytest.raises(BadInputError, match=said):
                nbstep.find(handle(url))
        assert asked == []


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ("http://runs.example", "by http on this machine alone"),
        ("http://127.0.0.1.evil.example", "by http on this machine alone"),
        ("https://submitter:word@runs.example", "and nothing else"),
        ("https://runs.example/?token=a", "and nothing else"),
        ("ftp://runs.example", "and nothing else"),
        ("https://", "no host"),
        ({"url": "https://runs.example", "token": "a-token"}, "Expected `object . null`"),
        ({"url": "https://runs.example", "token": {"secret": "a-token"}}, "named, never written"),
        ({"url": "https://runs.example", "folder": "../x"}, "Expected `str` matching"),
    ],
)
def test_a_profile_names_a_service_safely(server: Any, message: str) -> None:
    with pytest.raises(BadInputError, match=message) as caught:
        overlaid(Profile(), {"on": "server", "server": server})
    assert "a-token" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "runs"),
    [
        ("https://Runs.Example:443/nbstep/", "server://runs.example/nbstep/runs"),
        ("http://localhost:8080", "server://localhost:8080/runs"),
        ("http://[::1]:8080", "server://[::1]:8080/runs"),
    ],
)
def test_a_url_alone_is_a_service(written: str, runs: str) -> None:
    profile = overlaid(Profile(), {"on": "server", "server": written})
    assert named_runs(profile) == runs
    assert named_runs(overlaid(profile, {"on": "local"})) is None
    assert named_runs(overlaid(profile, {"runs": "elsewhere"})) == "elsewhere"


def test_runs_of_an_unknown_service_are_refused_in_words() -> None:
    with pytest.raises(UsageError, match="no profile names the service"):
        nbstep.history(f"server://{secrets.token_hex(4)}.example/team")
    notebook = notebooks.write(Path("n.ipynb"), ["1"])
    with pytest.raises(UsageError, match="the profile names no service"):
        nbstep.submit(notebook, on="server")


def test_the_documented_profile_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[5].joinpath("docs/service.md").read_text()
    (written,) = (text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "on: server" in text)
    Path("nbstep.yaml").write_text(written)
    profile = load_profile("team", {})
    assert named_runs(profile) == "server://runs.example/nbstep/vision"
    monkeypatch.setenv("NBSTEP_TOKEN", "a-token")
    assert profile.service is not None
    assert profile.service.token is not None
    assert profile.service.token.reference.value() == "a-token"
