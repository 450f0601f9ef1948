"""What people write for the launcher is read strictly."""

from __future__ import annotations

import pytest

from nbstep.profiles.strict_yaml import load
from nbstep_runner.errors import BadInputError


def test_words_are_words() -> None:
    text = b"on: local\nno: yes\nreally: true\nnot: False\ntruely: truely\n"
    assert load(text, where="x") == {"on": "local", "no": "yes", "really": True, "not": False, "truely": "truely"}


def test_numbers_are_those_of_yaml_1_2_and_nothing_is_a_date() -> None:
    numbers = b"[0, -7, 0x1F, 1.5, .5, 2.5e-3, -.inf]"
    assert load(numbers, where="x") == [0, -7, 31, 1.5, 0.5, 0.0025, float("-inf")]
    texts = ["12:30", "012", "1_000", "2026-02-30", "2026-02-28T10:00:00Z", "0b1", "5e123456"]
    assert load(f"[{', '.join(texts)}]".encode(), where="x") == texts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a: 1\na: 2\n", "the key 'a' comes twice"),
        (b"".join(b"k%d: 1\n" % number for number in [*range(50_000), 49_999]), "the key 'k49999' comes twice"),
        (b"a: &x [1]\nb: *x\n", "aliases are not allowed"),
        (b"a: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        (b"a: [1\n", "line"),
        (b"a: " + b"9" * 5000, "cannot be read"),
        (b'a: !!int ""', "cannot be read"),
        (b"a: !!float x", "cannot be read"),
        (b"a: !!timestamp x", "cannot be read"),
        (b"a: !!bool x", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"x" * (2**20 + 1), "is larger than"),
    ],
)
def test_what_is_refused_is_one_line(text: bytes, words: str) -> None:
    with pytest.raises(BadInputError, match=words) as caught:
        load(text, where="nbstep.yaml")
    assert "\n" not in caught.value.message
    assert caught.value.hint == "Correct nbstep.yaml."
