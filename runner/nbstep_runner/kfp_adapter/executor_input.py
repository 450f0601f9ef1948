"""The part of KFP's ExecutorInput message that a step needs, from its JSON (the proto's own mapping)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from nbstep_runner.contract import whole
from nbstep_runner.errors import BadInputError

MOUNTS: Final = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}
"""Where KFP's launcher puts the files of a bucket (backend/src/v2/objectstore and kfp.dsl.Artifact agree on it)."""
MODEL_IMAGE: Final = "oci://"
"""A model in an image, which KFP mounts beside the step; the rule for its place is the launcher's too."""
INSIDE: Final = "pipelinechannel--"
"""How KFP's compiler begins the names of values that it has put into the text of another input."""


class Artifact(msgspec.Struct, frozen=True, rename="camel"):
    """Something that lies in storage and, while the step runs, at a local path."""

    uri: str = ""
    name: str = ""
    metadata: dict[str, Any] = {}
    custom_path: str = ""

    @property
    def path(self) -> str:
        """Where the engine has put it, or will look for it."""
        if self.custom_path:
            return self.custom_path
        if self.uri.startswith(MODEL_IMAGE):
            return f"/oci/{self.uri.removeprefix(MODEL_IMAGE).replace('/', '_')}/models"
        for scheme, mount in MOUNTS.items():
            if self.uri.startswith(scheme):
                return mount + self.uri.removeprefix(scheme)
        return self.uri.removeprefix("file://")


class ArtifactList(msgspec.Struct, frozen=True):
    """The artifacts of one name."""

    artifacts: tuple[Artifact, ...] = ()


class Inputs(msgspec.Struct, frozen=True, rename="camel"):
    """The values and artifacts that the step is given, by name."""

    parameter_values: dict[str, Any] = {}
    artifacts: dict[str, ArtifactList] = {}


class OutputParameter(msgspec.Struct, frozen=True, rename="camel"):
    """The file into which a value goes that the step hands on."""

    output_file: str


class Outputs(msgspec.Struct, frozen=True, rename="camel"):
    """What is to be left; ``output_file`` is the place of the ExecutorOutput message."""

    output_file: str
    parameters: dict[str, OutputParameter] = {}
    artifacts: dict[str, ArtifactList] = {}

    def path(self, name: str) -> str | None:
        """The local path of an output artifact; ``None`` where the engine asks for no such one."""
        found = self._first(name)
        return found.path if found else None

    def uri(self, name: str) -> str | None:
        """The URI of an output artifact; ``None`` where the engine asks for no such one."""
        found = self._first(name)
        return found.uri if found else None

    def _first(self, name: str) -> Artifact | None:
        return next(iter(self.artifacts.get(name, ArtifactList()).artifacts), None)


class ExecutorInput(msgspec.Struct, frozen=True):
    """One execution of one step."""

    outputs: Outputs
    inputs: Inputs = Inputs()


def read_executor_input(text: str | bytes) -> ExecutorInput:
    """The message from its JSON.

    Raises:
        BadInputError: It is not such a message.
    """
    try:
        return msgspec.json.decode(text, type=ExecutorInput)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInputError(
            f"the executor input is not KFP's: {error}",
            hint="The component passes it as --executor-input '{{$}}'; Kubeflow Pipelines fills it in.",
        ) from error


def given(values: dict[str, Any]) -> dict[str, Any]:
    """The parameters that were given, whole numbers as such; the engine writes ``null`` for those that were not."""
    own = {name: value for name, value in values.items() if not name.startswith(INSIDE)}
    return {name: whole(value) for name, value in own.items() if value is not None}
