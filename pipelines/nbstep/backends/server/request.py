"""What a service is asked for: a submission as the body of a request, and what no service takes refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import msgspec
import yaml

from nbstep.backends.protocol import Again, Submission
from nbstep.profiles import Profile, ServiceOptions, merged
from nbstep_runner.contract import RunSpec
from nbstep_runner.errors import BadInputError, UsageError
from nbstep_runner.nonfinite import written
from nbstep_runner.parameters import SecretReference

NOT_SENT: Final = ("on", "runs", "storage", "server", "labels")
"""Fields of a profile that say how this machine reaches what, or that have a place of their own in a request."""
TOLD: Final = (
    *("run_id", "attempt", "input_uri", "output_uri", "parameters", "labels", "storage"),
    *("deadlines", "collect", "state", "html", "needs", "schema_version"),
)
"""Fields of a spec that a request says in its own way."""
NOTEBOOK_TYPE: Final = "application/x-ipynb+json"


@dataclass(frozen=True, slots=True)
class Upload:
    """A request for a run or a sweep: its JSON, and the notebook that comes with it."""

    options: ServiceOptions
    path: str
    request: bytes
    name: str
    notebook: bytes

    @property
    def form(self) -> dict[str, Any]:
        """The form's fields and file, as ``httpx`` takes them."""
        files = {"notebook": (self.name, self.notebook, NOTEBOOK_TYPE)}
        return {"data": {"request": self.request.decode()}, "files": files}

    @property
    def text(self) -> str:
        """The same for people; the token is not part of it."""
        told = {
            "post": f"{self.options.url}{self.path}?folder={self.options.folder}",
            "request": msgspec.json.decode(self.request),
            "notebook": f"{self.name}, {len(self.notebook)} bytes",
        }
        return yaml.safe_dump(told, sort_keys=False, width=1000)


def upload(submission: Submission) -> Upload:
    """The request that starts a run or a sweep.

    Raises:
        UsageError: The profile names no service, the runs' folder is another, or a service takes no such thing.
        BadInputError: A value of a parameter cannot be sent.
    """
    spec, profile, brought = submission.spec, submission.profile, submission.brought
    options = service_of(profile)
    if not spec.output_uri.startswith(f"{options.runs}/") or brought is None:
        raise UsageError(
            f"runs through a service lie in its own folders, not in {spec.output_uri.rpartition('/')[0]}",
            hint="Leave runs= out, and name the service's folder: server.folder.",
        )
    _check_taken(spec)
    over = overrides(profile) | ({"state": True} if spec.state else {})
    asked: dict[str, Any] = {
        "parameters": dict(brought.parameters),
        "profile": options.profile,
        "overrides": over,
        "run_id": spec.run_id,
        "labels": profile.labels,
    }
    if spec.html is not (
        brought.swept is None
    ):  # unasked, runs get a page and sweeps none; older services know no such field
        asked["html"] = spec.html
    if brought.swept is None:
        return Upload(options, "/v1/runs", _encoded(asked), brought.name, brought.notebook)
    group = spec.output_uri.removeprefix(f"{options.runs}/").rpartition("/")[0].rpartition("/")[0]
    asked |= {
        "name": group,
        "matrix": brought.swept.sets,
        "jobs": brought.swept.jobs,
        "per_worker": brought.swept.per_worker,
        "preload": brought.swept.preload,
    }
    return Upload(options, "/v1/sweeps", _encoded(asked), brought.name, brought.notebook)


def service_of(profile: Profile) -> ServiceOptions:
    """The service that a profile names.

    Raises:
        UsageError: It names none.
    """
    if profile.service is None:
        raise UsageError(
            "the profile names no service",
            hint="Name it: server: {url: https://…, folder: NAME, token: {secret: env:NAME}}.",
        )
    return profile.service


def again(options: ServiceOptions, asked: Again) -> bytes:
    """The body of a request that runs a run again.

    Raises:
        UsageError: It names what no service takes.
        BadInputError: A value of a parameter cannot be sent.
    """
    profile = asked.profile or Profile()
    over = merged(overrides(profile) | {"labels": profile.labels}, asked.options)
    labels = over.pop("labels")
    for name in NOT_SENT:
        if over.pop(name, None) is not None:
            raise UsageError(
                f"a service runs a run again where it was, without another {name}", hint="Submit its notebook anew."
            )
    body = {"parameters": dict(asked.parameters), "profile": options.profile, "overrides": over}
    return _encoded(body | {"run_id": asked.run_id, "labels": labels})


def overrides(profile: Profile) -> dict[str, Any]:
    """What a service's own profile would have to open: the fields that are named, or differ from a plain profile's."""
    given, plain = (msgspec.to_builtins(each) for each in (profile, Profile()))
    named = frozenset(profile.service.named if profile.service is not None else ())
    return {name: value for name, value in _asked(given, plain, named).items() if name not in NOT_SENT}


def _asked(
    given: Mapping[str, Any], plain: Mapping[str, Any], named: frozenset[str], within: str = ""
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in given.items():
        usual, path = plain.get(name), f"{within}{name}"
        if isinstance(value, dict) and isinstance(usual, dict):
            if inner := _asked(value, usual, named, f"{path}."):
                found[name] = inner
        elif value != usual or path in named:
            found[name] = value
    return found


def _check_taken(spec: RunSpec) -> None:
    """Whether a request can say all that the spec does: what it cannot is refused, and never left out."""
    usual = RunSpec(run_id="", input_uri="", output_uri="")
    for name in (each.name for each in fields(RunSpec) if each.name not in TOLD):
        if getattr(spec, name) != getattr(usual, name):
            raise UsageError(
                f"a service starts runs of a notebook and its parameters, without {name}",
                hint="Leave it out, or submit to the place itself rather than through the service.",
            )


def _encoded(value: Any) -> bytes:
    """JSON of what is sent: numbers that JSON cannot write as records have them, secrets as their references.

    Raises:
        BadInputError: JSON cannot say it, such as a number of more than 64 bits.
    """
    try:
        return msgspec.json.encode(written(_plain(value)))
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInputError(
            f"the parameters cannot be sent to a service: {error}", hint="Use numbers, text, lists and mappings."
        ) from None


def _plain(value: Any) -> Any:
    match value:
        case SecretReference():
            return value.as_json()
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return value
