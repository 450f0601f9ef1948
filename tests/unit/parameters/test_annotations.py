"""What annotations are understood to mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.parameters.annotations import parse_annotation

UNDERSTOOD = [
    ("int", "int"),
    ("'int'", "int"),
    ("'Optional[\"int\"]'", "int | None"),
    ("Optional[int]", "int | None"),
    ("typing.Optional[int]", "int | None"),
    ("int | None", "int | None"),
    ("None | int | str", "None | int | str"),
    ("Union[int, Optional[str], int]", "int | str | None"),
    ("Union[int, Any]", "Any"),
    ("Union[int]", "int"),
    ("list", "list"),
    ("List[int]", "list[int]"),
    ("Sequence[float]", "list[float]"),
    ("collections.abc.Mapping[str, int]", "dict[str, int]"),
    ("dict", "dict"),
    ("tuple", "tuple"),
    ("tuple[int, ...]", "tuple[int, ...]"),
    ("Tuple[int, str]", "tuple[int, str]"),
    ("tuple[()]", "tuple[()]"),
    ("Literal['a', 1, None]", "Literal['a', 1, None]"),
    ("Literal[b'a']", "Any"),
    ("Literal[Colour.RED]", "Any"),
    ("Annotated[int, Gt(0)]", "int"),
    ("Final[int]", "int"),
    ("Final", "Any"),
    ("datetime.date", "date"),
    ("dt.datetime", "datetime"),
    ("pathlib.Path", "Path"),
    ("os.PathLike[str]", "Path"),
    ("Any", "Any"),
    ("object", "Any"),
    ("torch.float", "Any"),
    ("np.ndarray", "Any"),
    ("set[int]", "set[int]"),
    ("Set[str]", "set[str]"),
    ("frozenset", "frozenset"),
    ("typing.FrozenSet[date]", "frozenset[date]"),
    ("list[int, str]", "Any"),
    ("dict[str]", "Any"),
    ("Callable[[int], str]", "Any"),
    ("f(x)", "Any"),
    ("not an annotation", "Any"),
    ("", "Any"),
]


@pytest.mark.parametrize(("annotation", "kind"), UNDERSTOOD)
def test_an_annotation_means(annotation: str, kind: str) -> None:
    assert str(parse_annotation(annotation).kind) == kind


def test_annotated_carries_help() -> None:
    assert parse_annotation("Annotated[int, Gt(0), 'how many', 'at least 1']").help == "how many at least 1"


def test_a_bomb_of_quotes_or_brackets_means_anything() -> None:
    assert str(parse_annotation("list[" * 5000 + "int" + "]" * 5000).kind) == "Any"
    assert str(parse_annotation("-" * 100_000 + "1").kind) == "Any"


@given(st.text(st.sampled_from("int|,[]'\"() .Listr\n#"), max_size=40) | st.text(max_size=40))
def test_any_text_means_something(text: str) -> None:
    assert str(parse_annotation(text).kind)
