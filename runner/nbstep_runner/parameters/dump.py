"""Parameters written to a file that gives the same values again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters.carriable import carriable
from nbstep_runner.parameters.jsonable import in_order
from nbstep_runner.parameters.kinds import MismatchError
from nbstep_runner.parameters.secret import SecretReference

_WIDE: Final = 2**31  # no folding of lines: a value stays on the line of its name


def dump_yaml(values: Mapping[str, Any]) -> bytes:
    """YAML from which ``load_yaml`` and ``resolve`` make the same values for the same signature.

    Unlike ``Resolved.as_json`` it keeps NaN, infinities and keys that are not text; and unlike ``yaml.safe_dump`` it
    quotes text such as ``1e3``, which parameters take for a number.

    Args:
        values: As ``Resolved.values`` holds them; secrets are written as their references.
    """
    if not values:
        return b"{}\n"  # as below, without the import that is a tenth of what submitting a run takes

    import yaml

    from nbstep_runner.parameters.yaml_dumper import Dumper

    dumped: bytes = yaml.dump(
        _plain(values), Dumper=Dumper, allow_unicode=True, sort_keys=False, width=_WIDE, encoding="utf-8"
    )
    return dumped


def dump_given(values: Mapping[str, Any]) -> bytes:
    """YAML of values as a caller has them: NumPy's numbers, paths and members of an ``Enum`` too.

    Raises:
        BadInputError: Values cannot be carried to a notebook; the message lists them, a line each.
    """
    carried, problems = {}, []
    for name, value in values.items():
        try:
            carried[name] = carriable(value)
        except MismatchError as error:
            problems.append(f"{name}{error.path}: {error.reason}")
    if problems:
        raise BadInputError("\n  - ".join(("the parameters cannot be given to a notebook:", *problems)))
    return dump_yaml(carried)


def _plain(value: Any) -> Any:  # noqa: PLR0911 - a return for each type
    match value:
        case SecretReference():
            return value.as_json()
        case PurePath():
            return str(value)
        case str():
            return str.__str__(value)
        case dt.date() | dt.time():
            return value.isoformat()
        case Mapping():
            return {_plain(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case set() | frozenset():
            return [_plain(item) for item in in_order(value)]
    return value
