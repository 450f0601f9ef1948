"""Who asks, and what they may do in a folder of runs: found out before the application, which asks for each answer."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from nbstep.server.folders import RunFolder, RunFolders
from nbstep.server.problems import forbidden, not_found

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope


class Right(StrEnum):
    """What somebody may do in a folder of runs. Neither is part of the other."""

    READ = "read"
    SUBMIT = "submit"


May = Callable[[str, Right], bool]
"""Whether the caller has a right in the folder of that name. It may ask a cluster, so it belongs on a thread."""


def let_in(scope: Scope, caller: str, may: May) -> None:
    """Tell the application who asks, and what they may do."""
    scope.setdefault("state", {}).update(caller=caller, may=may)


def caller_of(request: Request) -> str:
    """Who asks, as what stands before the application has found out."""
    caller: str = request.state.caller
    return caller


def place_of(request: Request, folders: RunFolders, named: str | None = None) -> RunFolder:
    """As :func:`folder_of` to read; what is named may also be a group of runs below a folder, as ``NAME/PATH``.

    Args:
        request: Whose caller has to have the right, and which names the place unless ``named`` does.
        folders: Of runs.
        named: The place.
    """
    name, of_group, path = (named or request.query_params.get("folder", "")).partition("/")
    if named is None and not of_group:
        return folder_of(request, folders)
    place = _found(request, folders, name)
    return place.within(path) if of_group else place


def folder_of(request: Request, folders: RunFolders, *rights: Right) -> RunFolder:
    """The folder that a request is about, once the caller is known to have these rights there; to read by default.

    Where the request names no folder it is the first in which the caller has them. A folder in which somebody has no
    right at all does not exist for them. May block.

    Raises:
        Problem: There is none of that name, or the caller may not.
    """
    return _found(request, folders, request.query_params.get("folder"), *rights)


def _found(request: Request, folders: RunFolders, named: str | None, *rights: Right) -> RunFolder:
    may, wanted = _may(request), rights or (Right.READ,)
    asked = list(folders) if named is None else [folders.named(named)]
    for folder in asked:
        if all(may(folder.name, right) for right in wanted):
            request.state.folder = folder.name
            return folder
    known = next((folder for folder in asked if any(may(folder.name, each) for each in Right)), None)
    if known is None:
        raise not_found("folder that you may look into" if named is None else f"folder {named[:80]!r}")
    request.state.folder = known.name
    raise forbidden(
        f"you may not {' and '.join(wanted)} in {known.name}",
        hint="Ask whoever runs the server, or owns the folder's namespace.",
    )


def is_allowed(request: Request, folder: RunFolder, right: Right) -> bool:
    """Whether the caller has a right in a folder, or in the one that a group lies in. May block."""
    return _may(request)(folder.top, right)


def allowed(request: Request, folders: RunFolders, right: Right) -> list[str]:
    """The names of the folders in which the caller has a right. May block."""
    may = _may(request)
    return [folder.name for folder in folders if may(folder.name, right)]


def _may(request: Request) -> May:
    may: May = request.state.may
    return may
