"""The reference page says what the commands say."""

from __future__ import annotations

from support.cli_reference import PAGE, reference


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text() == reference(), "make it anew: cd tests && python -m support.cli_reference"
