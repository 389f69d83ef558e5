"""The reference page of attempts, made from the table of transitions.

python -m proctoring_hooks.transitions_page > docs/reference/attempts.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from proctoring_hooks.statuses import BEFORE_START, IN_PROGRESS, ONBOARDING_REFUSED, Status
from proctoring_hooks.transitions import RULES, Action, Actor, Effect, Rule

GROUPS: dict[str, frozenset[Status]] = {
    "before_start": frozenset(BEFORE_START),
    "in_progress": frozenset(IN_PROGRESS),
    "handed_in": frozenset({Status.SUBMITTED, Status.TIMED_OUT}),
    "onboarding_refused": frozenset(ONBOARDING_REFUSED),
}
"""Statuses that one arrow begins at, where it begins at all of them."""
LETTERS = {
    Actor.LEARNER: "L",
    Actor.LMS: "M",
    Actor.PROVIDER: "P",
    Actor.PROCTOR: "C",
    Actor.STAFF: "S",
    Actor.SYSTEM: "A",
}
ACTORS = {
    Actor.LEARNER: "the person whose attempt it is, and his browser",
    Actor.LMS: "the LMS's server, where it keeps the attempt and tells us of it",
    Actor.PROVIDER: "the proctoring provider; also our own page that checks a browser",
    Actor.PROCTOR: "a named person who may judge attempts of the course",
    Actor.STAFF: "who runs exams, and judges nobody",
    Actor.SYSTEM: "this server: its clock, an incident policy, or `auto_pass`",
}
ACTIONS = {
    Action.REGISTER: "A learner enters the exam, or an LMS registers him",
    Action.CLICK_DOWNLOAD_SOFTWARE: "The learner goes to get ready; during the exam, that submits",
    Action.READY: "The learner and his room have been checked",
    Action.START: "The clock begins to run; again, after a stop: the learner goes back",
    Action.STOP: "The learner wants to end; the clock runs on",
    Action.SUBMIT: "The exam is handed in",
    Action.TIME_OUT: "The time is over: handed in at that very instant",
    Action.ERROR: "Something broke; what was left of the time is kept",
    Action.DECLINE: "The learner takes the exam without proctoring",
    Action.TERMINATE: "The exam is ended for the learner; what comes of it a person decides",
    Action.PASS: "A review finds nothing wrong",
    Action.FAIL: "A review finds a violation; a machine's is for a person to confirm",
    Action.REQUIRE_SECOND_REVIEW: "A review is in doubt: a person shall look",
    Action.NOT_REVIEWED: "The provider can not judge: its recording is missing or broken",
    Action.RESET: "Removed, so that the learner may begin anew. The system removes what an LMS "
    "registered and never started; a learner's practice becomes `onboarding_reset`",
    Action.RESUME: "The learner's next attempt goes on with the time that was left",
    Action.ONBOARDING_MISSING: "The provider refuses: he has not been through its onboarding",
    Action.ONBOARDING_PENDING: "The provider refuses: his onboarding waits for its review",
    Action.ONBOARDING_FAILED: "The provider refuses: his onboarding was rejected",
    Action.ONBOARDING_EXPIRED: "The provider refuses: his onboarding was too long ago",
}
EFFECTS = {
    Effect.SAME: "nothing changes: it is so, or too late to matter",
    Effect.KEEP: "kept, and counts when the exam is submitted",
    Effect.NOTE: "recorded beside a person's decision",
    Effect.REMOVE: "removed",
    Effect.REPLACE: "can be gone on with",
}
NOTHING = "none"
INTRODUCTION = """\
# Attempts: statuses and what changes them

Made from the table that the server decides by (`proctoring_hooks/transitions.py`), by
`python -m proctoring_hooks.transitions_page`. **What is not here is refused.** Statuses have the
names of edx-proctoring and edx-exams. Every change is a row of the attempt's history: who, from,
to, why. Two that come at the same time are done one after the other; the second finds what the
first has left.
"""
CELLS = """\
**Bold**: it changes the status. Otherwise it changes nothing, is kept or noted, marks the attempt,
or removes it: see below. Conditions stand there, too.
"""


def render() -> str:
    parts = [
        INTRODUCTION,
        "## The way of an attempt\n",
        "```mermaid\n" + "\n".join(_diagram()) + "\n```\n",
        "## Who acts\n",
        _table(("", "actor", ""), [(LETTERS[a], f"`{a}`", words) for a, words in ACTORS.items()]),
        "## Who may do what, and when\n",
        CELLS,
        _table(("", *(f"`{a}`" for a in Action)), list(_matrix())),
        "## What it leads to\n",
        _table(("action", "from", "by", "if", "leads to"), list(_rows())),
        "## What actions are\n",
        _table(("action", ""), [(f"`{a}`", words) for a, words in ACTIONS.items()]),
    ]
    return "\n".join(parts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


# -- the diagram ---------------------------------------------------------------------------------


def _diagram() -> Iterator[str]:
    yield "stateDiagram-v2"
    for name, members in GROUPS.items():
        yield f"    state {name} {{"
        yield from (f"        {each}" for each in _in_order(members))
        yield "    }"
    arrows: dict[tuple[str, str], list[str]] = {}
    for rule in RULES:
        if rule.effect not in (Effect.CHANGE, Effect.REMOVE):
            continue
        for before in _sources(rule):
            after = rule.after or "[*]"
            if rule.action.value in ONBOARDING_REFUSED:
                after = "onboarding_refused"
            actions = arrows.setdefault((before, after), [])
            if rule.action not in actions:
                actions.append(rule.action)
    for (before, after), actions in arrows.items():
        said = ", ".join(a for a in actions if a not in ONBOARDING_REFUSED)
        yield f"    {before} --> {after}: {said or 'refused at registration'}"


def _sources(rule: Rule) -> list[str]:
    """Groups, and what is in none that is whole."""
    if rule.effect is Effect.REMOVE and Actor.STAFF in rule.actors:
        return []  # from everywhere: an arrow from each status says nothing
    left = {each for each in rule.before if each is not None}
    found = ["[*]"] if None in rule.before else []
    for name, members in GROUPS.items():
        if members <= left:
            found.append(name)
            left -= members
    return [*found, *(_in_order(left))]


def _in_order(statuses: Iterable[Status]) -> list[str]:
    given = set(statuses)
    return [each.value for each in Status if each in given and each is not Status.ELIGIBLE]


# -- tables --------------------------------------------------------------------------------------


def _matrix() -> Iterator[tuple[str, ...]]:
    for status in (None, *Status):
        if status is not Status.ELIGIBLE:
            yield (_named(status), *(_cell(status, action) for action in Action))


def _cell(status: Status | None, action: Action) -> str:
    rules = [rule for rule in RULES if rule.action is action and status in rule.before]
    changing = {a for rule in rules if rule.effect is Effect.CHANGE for a in rule.actors}
    others = {a for rule in rules for a in rule.actors} - changing
    said = [f"**{LETTERS[a]}**" for a in Actor if a in changing]
    return " ".join([*said, *(LETTERS[a] for a in Actor if a in others)])


def _rows() -> Iterator[tuple[str, ...]]:
    for action in Action:
        for rule in RULES:
            if rule.action is action:
                yield (
                    f"`{action}`",
                    ", ".join(_named(each) for each in (None, *Status) if _is_from(rule, each)),
                    ", ".join(each for each in Actor if each in rule.actors),
                    rule.condition or "",
                    f"`{rule.after}`" if rule.after else EFFECTS[rule.effect],
                )


def _is_from(rule: Rule, status: Status | None) -> bool:
    return status in rule.before and status is not Status.ELIGIBLE


def _named(status: Status | None) -> str:
    return NOTHING if status is None else f"`{status}`"


if __name__ == "__main__":
    sys.stdout.write(render())
