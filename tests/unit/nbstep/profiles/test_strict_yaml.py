"""What people write for the launcher is read strictly."""

from __future__ import annotations

import pytest

from nbstep.profiles.strict_yaml import load
from nbstep_runner.errors import BadInputError


def test_words_are_words() -> None:
    text = b"on: local\nno: yes\nreally: true\nnot: False\ntruely: truely\n"
    assert load(text, where="x") == {"on": "local", "no": "yes", "really": True, "not": False, "truely": "truely"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a: 1\na: 2\n", "the key 'a' comes twice"),
        (b"a: &x [1]\nb: *x\n", "aliases are not allowed"),
        (b"a: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        (b"a: [1\n", "line"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"x" * (2**20 + 1), "is larger than"),
    ],
)
def test_what_is_refused_is_one_line(text: bytes, words: str) -> None:
    with pytest.raises(BadInputError, match=words) as caught:
        load(text, where="nbstep.yaml")
    assert "\n" not in caught.value.message
