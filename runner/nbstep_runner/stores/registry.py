"""From a URI to its store: which scheme is served by which module, and what each promises.

A backend's module is imported when its scheme is first opened, and its library with it, so that nobody pays for a
store that is not used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final, cast

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError, UsageError
from nbstep_runner.stores.protocol import Store
from nbstep_runner.stores.uris import canonical, checked, is_plain_path, is_signed, name_of, redact, scheme_of

OnRetry = Callable[[str], None]
_DEFAULTS: Final = StorageOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeInfo:
    """What one scheme offers, as ``nbstep stores`` prints it.

    Attributes:
        installed: Its packages are here.
        atomic_replace: A reader sees the old object or the new one, never a part.
        conditional_write: Of two writers one loses. ``None``, here and above: servers differ, and each is found out
            when it is first needed.
        extra: The extra that installs its packages; empty where none are needed.
        note: What a user has to know.
    """

    scheme: str
    installed: bool
    atomic_replace: bool | None
    conditional_write: bool | None
    extra: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Backend:
    """A module of this package with ``open_backend(uri, options, on_retry)``, and what it promises."""

    module: str
    packages: tuple[str, ...] = ()
    extra: str = ""
    atomic_replace: bool | None = True
    conditional_write: bool | None = True
    note: str = ""

    @property
    def installed(self) -> bool:
        return all(map(_importable, self.packages))


_HTTP = _Backend(
    module="http",
    packages=("httpx",),
    extra="http",
    atomic_replace=False,
    conditional_write=None,
    note="input; output by WebDAV, or by PUT, which a killed writer can tear",
)
_BACKENDS: Final = {
    "file": _Backend(module="local", note="plain paths too; conditions hold among writers that use nbstep"),
    "memory": _Backend(module="memory", note="lives inside one process; for tests"),
    "gs": _Backend(module="gcs", packages=("google.cloud.storage", "google_crc32c"), extra="gcs"),
    "s3": _Backend(
        module="s3",
        packages=("botocore",),
        extra="s3",
        conditional_write=None,
        note="Amazon S3 and compatible servers; each server other than Amazon's is asked for conditions once",
    ),
    "sftp": _Backend(
        module="sftp",
        packages=("asyncssh",),
        extra="sftp",
        atomic_replace=None,
        conditional_write=False,
        note="host keys are checked; replaced in one step by OpenSSH",
    ),
    "http": _HTTP,
    "https": _HTTP,
}
_OTHER: Final = _Backend(
    module="other",
    packages=("fsspec",),
    atomic_replace=False,
    conditional_write=False,
    note="through fsspec; whole objects only",
)


def open_store(uri: str, options: StorageOptions = _DEFAULTS, *, on_retry: OnRetry | None = None) -> Store:
    """The store that reaches a URI, and every other URI of its scheme.

    Args:
        uri: A plain path or a URI of a scheme that :func:`describe` lists.
        options: Retry budget, credentials' places and what is allowed.
        on_retry: Gets one line, without secrets, before each retry.

    Raises:
        BadInputError: The name is refused, or nothing serves its scheme.
        UsageError: The scheme's packages are not installed.
    """
    scheme = scheme_of(checked(uri))
    backend = _BACKENDS.get(scheme) or _other(scheme)
    if not backend.installed:
        raise UsageError(
            f"{scheme}:// needs packages that are not installed.",
            hint=f"Install them: pip install 'nbstep[{backend.extra}]'",
        )
    module = import_module(f"nbstep_runner.stores.{backend.module}")
    return cast("Store", module.open_backend(uri, options, on_retry))


def check_name(uri: str) -> None:
    """Refuse the name of an output that no run could be kept at, without asking its store.

    Raises:
        BadInputError: The name is refused.
    """
    if is_signed(checked(uri)):
        raise BadInputError(
            f"{redact(uri)} is signed for one object, and a run writes its record and log beside its output.",
            hint="Name an output in a folder that the run's credentials may write. As input a signed URI is fine.",
        )
    if not name_of(uri) or uri.endswith("/"):
        raise BadInputError(f"{redact(uri)} names a folder, not a notebook.", hint="Name a file as the output.")


def check_output(uri: str, store: Store) -> None:
    """Refuse a name that no write could succeed at, such as a folder's, before a run is begun for it.

    A store may have a method ``check_output(uri)`` of its own, which looks at the place.

    Raises:
        BadInputError: The name is refused.
        StorageDeniedError: What is there may not be replaced.
    """
    check_name(uri)
    look = getattr(store, "check_output", None)
    if look:
        look(uri)


def same_object(one: str, other: str) -> bool:
    """Whether two names are one object's, as far as can be told without asking a server; links are followed."""
    if any(not is_plain_path(uri) and scheme_of(uri) != "file" for uri in (one, other)):
        return canonical(one) == canonical(other)
    from nbstep_runner.stores import local

    return local.same_file(one, other)


def lies_in(uri: str, folder: str) -> bool:
    """Whether an object lies in a folder, at whatever depth, or has its name; told as by :func:`same_object`."""
    if any(not is_plain_path(each) and scheme_of(each) != "file" for each in (uri, folder)):
        return f"{canonical(uri)}/".startswith(f"{canonical(folder)}/")
    from nbstep_runner.stores import local

    return local.is_below(uri, folder)


def local_path(uri: str) -> Path | None:
    """The file of this machine that a name names; ``None`` where it names another object."""
    if scheme_of(uri) != "file":
        return None
    from nbstep_runner.stores import local

    return local.path_of(uri)


def describe() -> tuple[SchemeInfo, ...]:
    """Every scheme with a store, and those that installed fsspec packages add."""
    from nbstep_runner.stores import other  # imports fsspec, which opening other schemes does not need

    ours = [_info(scheme, backend) for scheme, backend in _BACKENDS.items()]
    return (*ours, *(_info(scheme, _OTHER) for scheme in other.schemes() if scheme not in _BACKENDS))


def _info(scheme: str, backend: _Backend) -> SchemeInfo:
    return SchemeInfo(
        scheme=scheme,
        installed=backend.installed,
        atomic_replace=backend.atomic_replace,
        conditional_write=backend.conditional_write,
        extra=backend.extra,
        note=backend.note,
    )


def _other(scheme: str) -> _Backend:
    if scheme in {"ftp", "ftps"}:
        raise BadInputError(
            f"{scheme}:// is not served: its servers keep none of the promises that a run needs.",
            hint=f"Reach the same files by sftp://, or use another of {', '.join(_BACKENDS)}.",
        )
    from nbstep_runner.stores import other  # imports fsspec, which our own schemes do not need

    if scheme not in other.schemes():
        known = ", ".join(_BACKENDS)
        raise BadInputError(
            f"Nothing that is installed serves {scheme}://.",
            hint=f"Use one of {known}, or install the fsspec package that serves it.",
        )
    return _OTHER


def _importable(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False
