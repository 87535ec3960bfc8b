"""Counts and articles in messages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from understudy.objects.wording import counted, with_article

SOURCE = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize(
    ("noun", "said"),
    [
        ("int", "an int"),
        ("object", "an object"),
        ("update", "an update"),
        ("str", "a str"),
        ("UUID", "a UUID"),
        ("User", "a User"),
        ("Union", "a Union"),
        ("Unread", "an Unread"),
        ("Event", "an Event"),
    ],
)
def test_an_article_goes_by_the_sound_of_the_noun(noun: str, said: str) -> None:
    assert with_article(noun) == said


def test_one_thing_is_no_plural() -> None:
    assert [counted(n, "block") for n in (0, 1, 2, 1000)] == ["0 blocks", "1 block", "2 blocks", "1,000 blocks"]
    assert counted(2, "try", "tries") == "2 tries"


def test_no_message_guesses_an_article() -> None:
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"\b[Aa]n? \{[a-z_]", line) and not line.lstrip().startswith("#")
    ]
    assert found == []
