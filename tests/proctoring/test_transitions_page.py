"""The page of attempts says what the table of transitions says."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from proctoring_hooks.statuses import Status
from proctoring_hooks.transitions import Action, Actor, Circumstances, Effect, Refused, decide
from proctoring_hooks.transitions_page import ACTIONS, ACTORS, LETTERS, NOTHING, render

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "attempts.md"
ANY = [
    Circumstances(
        is_proctored=proctored, is_practice=practice, was_submitted=was, is_judged_by_a_person=by
    )
    for proctored, practice, was, by in product((True, False), repeat=4)
]


def test_the_page_is_what_is_made_now() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), (
        "make it anew: python -m proctoring_hooks.transitions_page > docs/reference/attempts.md"
    )


def test_all_actions_and_actors_are_told() -> None:
    assert list(ACTIONS) == list(Action)
    assert list(ACTORS) == list(LETTERS) == list(Actor)


@pytest.mark.parametrize("status", [None, *(s for s in Status if s is not Status.ELIGIBLE)])
def test_the_table_of_the_page_allows_what_the_server_allows(status: Status | None) -> None:
    name = NOTHING if status is None else f"`{status}`"
    section = PAGE.read_text(encoding="utf-8").partition("## Who may do what")[2]
    (row,) = [
        line for line in section.split("##")[0].splitlines() if line.startswith(f"| {name} |")
    ]
    cells = [each.strip() for each in row.strip("|").split("|")][1:]
    for action, cell in zip(Action, cells, strict=True):
        for actor, letter in LETTERS.items():
            effects = _effects(status, action, actor)
            assert (letter in cell) == bool(effects), (action, actor)
            assert (f"**{letter}**" in cell) == (Effect.CHANGE in effects), (action, actor)


def _effects(status: Status | None, action: Action, actor: Actor) -> set[Effect]:
    found = set()
    for circumstances in ANY:
        try:
            found.add(decide(status, action, actor, circumstances).effect)
        except Refused:
            continue
    return found
