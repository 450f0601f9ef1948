"""The form of a run: all its fields, what was typed into them, and what a run is asked for with them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Final

import msgspec

from nbstep.profiles import merged
from nbstep.server.asked import Again
from nbstep.server.folders import RunFolder
from nbstep.server.pages.form_fields import Field, given_value, override_values, pairs, parameter_fields, profile_fields
from nbstep.server.pages.sweep_fields import SweepFields
from nbstep.server.problems import Problem, as_problem
from nbstep.server.started_sweeps import AskedSweep
from nbstep.server.starting import Starting
from nbstep.submission.places import new_run_id
from nbstep_runner.contract import ParameterSource, UnknownParameters
from nbstep_runner.errors import BadInputError, NbstepError
from nbstep_runner.parameters import Signature, resolve

ID_DIGITS: Final = 6
"""How many digits of a run's id say what its form said: what is sent twice is one run. As many as any id ends with."""
FURTHER: Final = Field(name="further", type="YAML", hint="name: value", lines=True)
LABELS: Final = Field(name="labels", type="NAME=value, one a line", lines=True)
SWEEP: Final = "sweep"
"""The field that the form of a sweep has besides."""
MANY, ONE = "many", "one"
"""What the buttons say that make a form one of a sweep, and one of a run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The notebook of a form.

    Attributes:
        name: What people call it.
        family: What the ids of its runs are made of.
        action: Where its form is sent to, below the server's prefix.
        carried: Fields of the form by which it is known when the form comes back.
        earlier: The parameters of the run that is run again.
        begin: Starts what is asked for, a run or a sweep of it, and tells the run's id or the sweep's path.
    """

    name: str
    family: str
    action: str
    signature: Signature
    begin: Callable[[Again], str]
    carried: Mapping[str, str] = dataclasses.field(default_factory=dict)
    earlier: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form as it stands, for one folder and one notebook.

    Attributes:
        starting: Knows what may be asked for.
        caller: Who asks.
        chosen: The notebook.
        id: Its own, from which the run's is made.
        profile: The profile whose fields it has.
        parameters: A field for each parameter that is known.
        further: Takes parameters where not all are known.
        overrides: A field for each field of the profile that a request may set.
        labels: Takes labels.
        profiles: Those to choose from.
        sweep: What a sweep has besides; ``None`` where one run is asked for.
        may_sweep: Whether it can be made the form of a sweep.
        set_aside: What was typed for a sweep and is kept, unseen, in the form of one run.
    """

    starting: Starting
    folder: RunFolder
    caller: str
    chosen: Chosen
    id: str
    profile: str
    parameters: Sequence[Field]
    further: Field | None
    overrides: Sequence[Field]
    labels: Field
    profiles: Sequence[str]
    sweep: SweepFields | None
    may_sweep: bool
    set_aside: Sequence[Field]

    @classmethod
    def of(cls, starting: Starting, folder: RunFolder, caller: str, chosen: Chosen, given: Mapping[str, str]) -> Form:
        """The form of a notebook, with what was typed into it.

        Raises:
            Problem: No runs are submitted to the folder, or it has no such profile.
        """
        sweepers = [] if chosen.earlier is not None else folder.sweepers
        sweeps = bool(sweepers) and _is_of_a_sweep(given)
        profiles = sweepers if sweeps else list(folder.profiles)
        profile = given.get("profile", "")
        if not profile or (sweeps and profile in folder.profiles and profile not in sweepers):
            profile = next(iter(profiles), "")
        values = starting.profile(folder, caller, Again(profile=profile or None))
        form_id = given.get("id") or new_run_id(chosen.family)
        sweep = SweepFields.of(chosen.signature, _stem(form_id), given)
        return cls(
            starting=starting,
            folder=folder,
            caller=caller,
            chosen=chosen,
            id=form_id,
            profile=profile,
            parameters=[each.filled(given) for each in parameter_fields(chosen.signature, chosen.earlier or {})],
            further=None if chosen.signature.complete else FURTHER.filled(given),
            overrides=[each.filled(given) for each in profile_fields(values, starting.opened(profile))],
            labels=LABELS.filled(given),
            profiles=profiles,
            sweep=sweep if sweeps else None,
            may_sweep=bool(sweepers),
            set_aside=[] if sweeps else [each for each in sweep.all if each.name in given],
        )

    @property
    def problems(self) -> list[Field]:
        """The fields that cannot be taken as they are."""
        further = [self.further] if self.further else []
        of_sweep = self.sweep.all if self.sweep else []
        fields = (*self.parameters, *further, *of_sweep, *self.overrides, self.labels)
        return [each for each in fields if each.problem]

    def checked(self) -> tuple[Form, Again | None]:
        """The form with its problems, and where it has none what is asked for.

        Raises:
            Problem: It is of a sweep, and no parameter has several values.
        """
        values: dict[str, Any] = {}
        overrides: list[dict[str, Any]] = []
        sweep, members = self.sweep.checked(self.chosen.signature) if self.sweep else (None, {})
        checked = replace(
            self,
            sweep=sweep,
            parameters=[self._parameter(each, values) for each in self.parameters],
            further=self._further(values),
            overrides=[self._override(each, overrides) for each in self.overrides],
            labels=self._with_problem(self.labels, Again(profile=self.profile, labels=pairs(self.labels.text))),
        )
        if checked.problems:
            return checked, None
        asked = Again(
            parameters=values,
            profile=self.profile,
            overrides=reduce(merged, overrides, {}),
            labels=pairs(self.labels.text),
        )
        if self.sweep is not None:
            return checked, _asked_sweep(asked, members)
        said = hashlib.sha256(msgspec.json.encode([self.id, asked], order="sorted")).hexdigest()
        return checked, msgspec.structs.replace(asked, run_id=f"{_stem(self.id)}-{said[:ID_DIGITS]}")

    def _parameter(self, field: Field, values: dict[str, Any]) -> Field:
        """A field with its problem; what it gives is added to the values."""
        parameter = self.chosen.signature.get(field.key)
        if parameter is None or not field.given:
            needed = field.needed and not (self.sweep and self.sweep.gives(field.key))
            return replace(field, problem="A value is needed." if needed else "")
        try:
            values[parameter.name] = given_value(field, parameter)
        except BadInputError as error:
            return replace(field, problem=error.message)
        return field

    def _further(self, values: dict[str, Any]) -> Field | None:
        if self.further is None or not self.further.text.strip():
            return self.further
        source = ParameterSource.yaml(self.further.text)
        try:
            found = resolve((source,), lambda _: b"", self.chosen.signature, unknown=UnknownParameters.IGNORE)
        except BadInputError as error:
            return replace(self.further, problem=error.message)
        values |= found.as_json()
        return self.further

    def _override(self, field: Field, overrides: list[dict[str, Any]]) -> Field:
        """A field with its problem; what it sets is added to the overrides."""
        if not field.text.strip():
            return field
        refused = field
        for values in override_values(field):
            tried = self._with_problem(field, Again(profile=self.profile, overrides=values))
            if not tried.problem:
                overrides.append(values)
                return tried
            refused = refused if refused.problem else tried
        return refused

    def _with_problem(self, field: Field, asked: Again) -> Field:
        """A field with the reason why the server would refuse what it says."""
        try:
            self.starting.profile(self.folder, self.caller, asked)
        except (Problem, NbstepError) as error:
            return replace(field, problem=as_problem(error).detail)
        return field


def _stem(form_id: str) -> str:
    """The name of the notebook and the time, of which ids are made."""
    return form_id.rpartition("-")[0] or "run"


def _is_of_a_sweep(given: Mapping[str, str]) -> bool:
    """Whether a form is one of a sweep: it was, or is made one now."""
    action = given.get("action")
    return action == MANY or (SWEEP in given and action != ONE)


def _asked_sweep(asked: Again, members: Mapping[str, Any]) -> AskedSweep:
    if not members["grid"]:
        hint = "Give one of them several: each of its values is a run."
        raise Problem(status=422, reference="usage", detail="no parameter has several values", hint=hint)
    return AskedSweep(**msgspec.structs.asdict(asked), **members)
