"""What a run reads before it begins: its notebook, its parameters, and what is at the output's place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from nbstep_runner.contract import STANDARD_STREAM, Need, ParameterKind, RunSpec, knows, spec_digest
from nbstep_runner.errors import BadInputError, KernelUnavailableError, NbstepError
from nbstep_runner.kernel import specs
from nbstep_runner.notebook import parse_notebook, read_standard_input
from nbstep_runner.session.earlier import NOWHERE, OutputPlace, look_at_output
from nbstep_runner.session.places import Places
from nbstep_runner.stores import Store, checksum, redact

if TYPE_CHECKING:
    from nbstep_runner.parameters import Resolved

AT_ONCE: Final = 4
LATER: Final = (
    "nbstep_runner.session.environment",
    "nbstep_runner.parameters",
    "nbstep_runner.kernel.start",
    "nbstep_runner.papermill_bridge",
    "nbstep_runner.engine.notebook_run",
)
"""What a run imports while its first requests are on their way; until then only what these need."""

OpenStore = Callable[[str], Store]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was read, by URI: bytes, or why they could not be read."""

    place: OutputPlace
    contents: dict[str, bytes | NbstepError]

    def __getitem__(self, uri: str) -> bytes:
        """The bytes of a URI.

        Raises:
            NbstepError: Why they could not be read.
        """
        content = self.contents[uri]
        if isinstance(content, NbstepError):
            raise content
        return content


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Everything that is known before the first cell; ``digest`` names it (see ``spec_digest``).

    Attributes:
        content: Names the notebook, its parameters and its kernel alone, whatever run they are of and where it goes.
        warnings: What whoever started the run should know of the notebook and its parameters.
    """

    notebook: dict[str, Any]
    language: str | None
    resolved: Resolved
    digest: str
    content: str
    warnings: tuple[str, ...]


def fetch(spec: RunSpec, places: Places | None, open_store: OpenStore) -> Fetched:
    """Read all that the run needs, at once, because each read may cost a round trip; import the rest meanwhile.

    Args:
        spec: What was asked for.
        places: Where the run's objects lie; ``None`` for standard output.
        open_store: Finds the store of a URI.

    Raises:
        StorageUnavailableError, StorageDeniedError: The output's place cannot be reached.
    """
    files = (each.uri for each in spec.parameters if each.kind is ParameterKind.FILE)
    uris = dict.fromkeys((spec.input_uri, *files))  # each once: standard input has no more to give the second time
    _import_clients((*uris, *((places.record,) if places else ())), open_store)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="nbstep-read") as pool:
        place = pool.submit(look_at_output, places, open_store) if places else None
        contents = {uri: pool.submit(_read, uri, open_store) for uri in uris}
        for name in LATER:
            import_module(name)
    return Fetched(place.result() if place else NOWHERE, {uri: content.result() for uri, content in contents.items()})


def _import_clients(uris: Iterable[str], open_store: OpenStore) -> None:
    """Open the stores one after another: several imports at once would only delay the first request."""
    for uri in uris:
        if uri != STANDARD_STREAM:
            with suppress(NbstepError):  # told by who reads or writes there
                open_store(uri)


def understand(spec: RunSpec, fetched: Fetched) -> Work:
    """Parse and validate what was read.

    Raises:
        BadInputError: The notebook or the parameters are not valid, or the spec asks for what a later version has.
        InputNotFoundError, StorageUnavailableError, StorageDeniedError: One of them could not be read.
    """
    from nbstep_runner.parameters import overwritten, read_signature, resolve

    _check_needs(spec)
    data = fetched[spec.input_uri]
    parsed = parse_notebook(data, spec.input_uri)
    notebook = parsed.content
    unused = _check_tags(spec, notebook)
    language = language_of(spec, notebook)
    signature = read_signature(notebook, language=language, kernel=spec.kernel)
    resolved = resolve(spec.parameters, fetched.__getitem__, signature, unknown=spec.unknown_parameters)
    input_digest = checksum(data)
    digest = spec_digest(spec, input_digest, resolved.digest())
    chosen = RunSpec(
        run_id="",
        input_uri="",
        output_uri="",
        kernel=spec.kernel,
        language=spec.language,
        only_tags=spec.only_tags,
        skip_tags=spec.skip_tags,
    )
    content = spec_digest(chosen, input_digest, resolved.digest())
    lost = overwritten(notebook, resolved.values, language=language, kernel=spec.kernel)
    warnings = (*parsed.warnings, *unused, *resolved.warnings, *lost)
    return Work(
        notebook=notebook, language=language, resolved=resolved, digest=digest, content=content, warnings=warnings
    )


def _check_needs(spec: RunSpec) -> None:
    """Refuse what this version does not know: without it the run would be another one."""
    missing = [need for need in map(Need.of, spec.needs) if not knows(spec, need.name)]
    if missing:
        from nbstep_runner.session.environment import own_version

        what = ", ".join(f"{need.name!r} (of nbstep {need.version or 'a newer version'})" for need in missing)
        raise BadInputError(
            f"the run asks for {what}, which nbstep {own_version()} does not know",
            hint="Run it with that version of nbstep, in an image of that version, or submit it without.",
        )


def _check_tags(spec: RunSpec, notebook: dict[str, Any]) -> tuple[str, ...]:
    """What to warn of: a tag to skip that no cell has.

    Raises:
        BadInputError: No code cell has a tag that alone was to run: a misspelt one would run nothing, and succeed.
    """
    from nbstep_runner.engine.cells import Selection

    only, skipped = Selection(spec.only_tags, spec.skip_tags).strangers(notebook["cells"])
    if only:
        raise BadInputError(f"no code cell has the tag {only[0]!r}", hint="Check the spelling of --only-tag.")
    return tuple(f"no code cell has the tag {tag!r}, which was to be skipped" for tag in skipped)


def _read(uri: str, open_store: OpenStore) -> bytes | NbstepError:
    try:
        return read_standard_input() if uri == STANDARD_STREAM else open_store(uri).read(uri).data
    except NbstepError as error:
        error.context = error.context or f"reading {redact(uri)}"
        return error


def language_of(spec: RunSpec, notebook: dict[str, Any]) -> str | None:
    """What the caller says, by its name or by the kernel's; else that of the notebook's kernel; else what it says.

    The kernel that runs the cells decides before what another one may have left in the metadata. ``None``: Nobody says.
    """
    metadata = _mapping(notebook.get("metadata"))
    kernelspec = _mapping(metadata.get("kernelspec"))
    said = _text(_mapping(metadata.get("language_info")).get("name")) or _text(kernelspec.get("language"))
    return spec.language or _language_of(spec.kernel) or _language_of(_text(kernelspec.get("name"))) or said


def _language_of(kernel: str | None) -> str | None:
    if kernel:
        with suppress(KernelUnavailableError):
            return specs.find(kernel).language or None
    return None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    """Text that says something."""
    return value if isinstance(value, str) and value else None
