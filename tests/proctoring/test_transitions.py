# ruff: noqa: E501 - a table is as wide as it is
"""The table of an attempt's changes, walked over all statuses x actions x actors."""

from __future__ import annotations

from itertools import product

import pytest

from proctoring_hooks.statuses import (
    BEFORE_START,
    ENDED,
    IN_PROGRESS,
    JUDGED,
    OPEN,
    UNDER_REVIEW,
    Status,
)
from proctoring_hooks.transitions import (
    RULES,
    Action,
    Actor,
    Circumstances,
    Condition,
    Effect,
    Refused,
    decide,
)

STATUSES = (None, *Status)
CIRCUMSTANCES = [
    Circumstances(
        is_proctored=proctored,
        is_practice=practice,
        was_submitted=submitted,
        is_judged_by_a_person=judged,
    )
    for proctored, practice, submitted, judged in product((True, False), repeat=4)
]
USUAL = Circumstances(is_proctored=True, is_practice=False, was_submitted=False)
SUBMITTED = Circumstances(is_proctored=True, is_practice=False, was_submitted=True)
JUDGED_BY_A_PERSON = Circumstances(
    is_proctored=True, is_practice=False, was_submitted=True, is_judged_by_a_person=True
)

# A cell says for whom (LETTERS) an action leads from a column's status to what: > and a status'
# short name, = (same), k (kept), n (noted), >d (removed), >r (to be resumed), or . (refused). All
# others are refused.
ACTORS = (Actor.LEARNER, Actor.LMS, Actor.PROVIDER, Actor.PROCTOR, Actor.STAFF, Actor.SYSTEM)
SHORT = {
    None: "-",
    Status.CREATED: "created",
    Status.DOWNLOAD_SOFTWARE_CLICKED: "clicked",
    Status.READY_TO_START: "ready",
    Status.STARTED: "started",
    Status.READY_TO_SUBMIT: "stopping",
    Status.DECLINED: "declined",
    Status.SUBMITTED: "submitted",
    Status.TIMED_OUT: "timed_out",
    Status.SECOND_REVIEW_REQUIRED: "second",
    Status.VERIFIED: "verified",
    Status.REJECTED: "rejected",
    Status.ERROR: "error",
    Status.ELIGIBLE: "eligible",
    Status.EXPIRED: "expired",
    Status.ONBOARDING_RESET: "ob_reset",
    Status.ONBOARDING_MISSING: "ob_missing",
    Status.ONBOARDING_PENDING: "ob_pending",
    Status.ONBOARDING_FAILED: "ob_failed",
    Status.ONBOARDING_EXPIRED: "ob_expired",
}
EFFECTS = {
    Effect.SAME: "=",
    Effect.KEEP: "k",
    Effect.NOTE: "n",
    Effect.REMOVE: "d",
    Effect.REPLACE: "r",
}

LETTERS = {
    "L": (Actor.LEARNER,),
    "M": (Actor.LMS,),
    "P": (Actor.PROVIDER,),
    "H": (Actor.PROCTOR,),
    "Y": (Actor.SYSTEM,),
    "A": (Actor.PROVIDER, Actor.SYSTEM),
    "T": (Actor.STAFF, Actor.PROCTOR),
    "S": (Actor.STAFF, Actor.LMS),
    "E": (Actor.PROVIDER, Actor.PROCTOR, Actor.STAFF, Actor.SYSTEM),
    "R": (Actor.PROVIDER, Actor.PROCTOR, Actor.SYSTEM),
}

# Of a proctored exam, no practice, that was never submitted nor judged by a person.
TABLE = """
action                   -          created      clicked      ready        started        stopping
register                 L+M>created .           .            .            .              .
decline                  L>declined L>declined   L>declined   L>declined   .              .
click_download_software  .          L>clicked    L=           L=           L>submitted    L>submitted
ready                    .          P+H>ready    P+H>ready    P+H=         P+H=           P+H=
start                    .          M>started    M>started    L+M>started  L+M=           L+M>started
stop                     .          .            .            .            L+M>stopping   L+M=
submit                   .          M>submitted  M>submitted  M>submitted  L+M>submitted  L+M>submitted
time_out                 .          .            .            .            Y>submitted    Y>submitted
error                    .          L+M+P>error  L+M+P>error  L+M+P>error  L+M+P>error    M>error
terminate                .          E>second     E>second     E>second     E>second       E>second
pass                     .          R>error      R>error      R>error      Rk             Rk
fail                     .          H>rejected,A>second H>rejected,A>second H>rejected,A>second Rk Rk
require_second_review    .          .            .            .            Rk             Rk
not_reviewed             .          P>error      P>error      P>error      Pk             Pk
reset                    .          S>d,Y>d      S>d,Y>d      S>d,Y>d      S>d            S>d
resume                   .          .            .            .            .              .
onboarding_missing       .          P>ob_missing P>ob_missing P>ob_missing .              .
onboarding_pending       .          P>ob_pending P>ob_pending P>ob_pending .              .
onboarding_failed        .          P>ob_failed  P>ob_failed  P>ob_failed  .              .
onboarding_expired       .          P>ob_expired P>ob_expired P>ob_expired .              .

action                   submitted           timed_out           second        verified  rejected    error
register                 .                   .                   .             .         .           .
decline                  .                   .                   .             .         .           .
click_download_software  .                   .                   .             .         .           .
ready                    P+H=                P+H=                P+H=          P+H=      P+H=        P+H=
start                    .                   .                   .             .         .           .
stop                     .                   .                   .             .         .           .
submit                   L+M=                L+M=                .             .         .           M>submitted
time_out                 Y=                  Y=                  Y=            Y=        Y=          Y=
error                    .                   .                   .             .         .           L+M+P=
terminate                E>second            E>second            E=            .         .           .
pass                     R>verified          R>verified          H>verified,An R=        R>verified  Rn
fail                     H>rejected,A>second H>rejected,A>second H>rejected,An H>rejected,A>second R= H>rejected,A>second
require_second_review    R>second            R>second            R=            R>second  R>second    R>second
not_reviewed             P>error             P>error             Pn            Pn        Pn          P=
reset                    S>d                 S>d                 S>d           S>d       S>d         S>d
resume                   .                   .                   .             .         .           T>r
onboarding_missing       .                   .                   .             .         .           .
onboarding_pending       .                   .                   .             .         .           .
onboarding_failed        .                   .                   .             .         .           .
onboarding_expired       .                   .                   .             .         .           .

action                   declined  eligible  expired  ob_reset  ob_missing  ob_pending  ob_failed  ob_expired
register                 .         .         .        .         .           .           .          .
decline                  L=        .         .        .         .           .           .          .
click_download_software  .         .         .        .         .           .           .          .
ready                    P+H=      P+H=      P+H=     P+H=      P+H=        P+H=        P+H=       P+H=
start                    .         .         .        .         .           .           .          .
stop                     .         .         .        .         .           .           .          .
submit                   .         .         .        .         .           .           .          .
time_out                 Y=        .         Y=       Y=        Y=          Y=          Y=         Y=
error                    .         .         .        .         .           .           .          .
terminate                .         .         .        .         .           .           .          .
pass                     .         .         .        .         .           .           .          .
fail                     .         .         .        .         .           .           .          .
require_second_review    .         .         .        .         .           .           .          .
not_reviewed             .         .         .        .         .           .           .          .
reset                    S>d       .         S>d      S>d       S>d,L>d     S>d,L>d     S>d,L>d    S>d,L>d
resume                   .         .         .        .         .           .           .          .
onboarding_missing       .         .         .        .         .           .           .          .
onboarding_pending       .         .         .        .         .           .           .          .
onboarding_failed        .         .         .        .         .           .           .          .
onboarding_expired       .         .         .        .         .           .           .          .
"""

# Where the exam or the attempt is another, it is so instead for those whom the cell names.
TIMED = """
start                  created,clicked                            L>started
"""
PRACTICE = """
fail                   submitted,timed_out                        A>rejected
reset                  submitted,timed_out,second,rejected,error  L>ob_reset
"""
WAS_SUBMITTED = """
pass                   error                                      R>verified
"""
BY_A_PERSON = """
pass                   rejected                                   An
fail                   verified                                   An
require_second_review  verified,rejected                          An
"""


def test_a_review_of_a_machine_never_undoes_a_persons() -> None:
    machines = (Actor.PROVIDER, Actor.SYSTEM)
    reviews = (Action.PASS, Action.FAIL, Action.REQUIRE_SECOND_REVIEW, Action.NOT_REVIEWED)
    for status, action, actor in product(JUDGED, reviews, machines):
        try:
            rule = decide(status, action, actor, JUDGED_BY_A_PERSON)
        except Refused:
            continue
        assert rule.effect in (Effect.SAME, Effect.NOTE), (status, action, actor)


@pytest.mark.parametrize("circumstances", CIRCUMSTANCES, ids=str)
def test_a_learner_leaves_no_judged_attempt_but_a_practice(circumstances: Circumstances) -> None:
    for status, action in product(JUDGED | {Status.SECOND_REVIEW_REQUIRED}, Action):
        try:
            rule = decide(status, action, Actor.LEARNER, circumstances)
        except Refused:
            continue
        assert circumstances.is_practice, (status, action)
        assert rule.after is Status.ONBOARDING_RESET
        assert status is not Status.VERIFIED


@pytest.mark.parametrize("circumstances", CIRCUMSTANCES, ids=str)
def test_only_a_provider_or_a_proctor_makes_ready(circumstances: Circumstances) -> None:
    for status, action, actor in product(STATUSES, Action, ACTORS):
        rule = _decided(status, action, actor, circumstances)
        if rule is not None and rule.after is Status.READY_TO_START:
            assert actor in (Actor.PROVIDER, Actor.PROCTOR)


@pytest.mark.parametrize("circumstances", CIRCUMSTANCES, ids=str)
def test_what_has_ended_never_runs_again(circumstances: Circumstances) -> None:
    for status, action, actor in product(ENDED, Action, ACTORS):
        rule = _decided(status, action, actor, circumstances)
        if rule is not None and rule.effect is Effect.CHANGE:
            assert rule.after in ENDED, (status, action, actor)


@pytest.mark.parametrize("circumstances", CIRCUMSTANCES, ids=str)
def test_only_a_person_rejects_a_proctored_exam(circumstances: Circumstances) -> None:
    if circumstances.is_practice:
        return
    for status, action, actor in product(STATUSES, Action, ACTORS):
        rule = _decided(status, action, actor, circumstances)
        if rule is not None and rule.after is Status.REJECTED:
            assert actor is Actor.PROCTOR, (status, action, actor)


@pytest.mark.parametrize("circumstances", CIRCUMSTANCES, ids=str)
def test_doing_it_twice_is_harmless(circumstances: Circumstances) -> None:
    """Whatever was done may be asked for again: the same, or refused, never something else."""
    for status, action, actor in product(STATUSES, Action, ACTORS):
        rule = _decided(status, action, actor, circumstances)
        if rule is None or rule.effect is not Effect.CHANGE:
            continue
        if status in OPEN and circumstances.was_submitted:
            continue  # there is no such attempt
        again = _decided(rule.after, action, actor, circumstances)
        assert again is None or again.effect in (Effect.SAME, Effect.NOTE, Effect.REMOVE), (
            status,
            action,
            actor,
        )
        if action in (Action.SUBMIT, Action.START, Action.READY, Action.PASS, Action.FAIL):
            assert again is not None or rule.after is Status.ERROR, (status, action, actor)


def test_the_clock_ends_whatever_runs_and_nothing_else() -> None:
    for status in Status:
        rule = _decided(status, Action.TIME_OUT, Actor.SYSTEM, USUAL)
        if status in IN_PROGRESS:
            assert rule is not None
            assert rule.after is Status.SUBMITTED
        else:
            assert rule is None or rule.effect is Effect.SAME


def test_a_timed_exam_is_started_by_the_learner_and_a_proctored_one_only_when_ready() -> None:
    timed = Circumstances(is_proctored=False, is_practice=False, was_submitted=False)
    for status in BEFORE_START - {Status.READY_TO_START}:
        rule = decide(status, Action.START, Actor.LEARNER, timed)
        assert rule.after is Status.STARTED
        with pytest.raises(Refused):
            decide(status, Action.START, Actor.LEARNER, USUAL)


def test_what_was_never_submitted_is_never_verified() -> None:
    for status in OPEN | {Status.ERROR}:
        rule = _decided(status, Action.PASS, Actor.PROVIDER, USUAL)
        assert rule is None or rule.after is not Status.VERIFIED
    assert decide(Status.ERROR, Action.PASS, Actor.PROVIDER, SUBMITTED).after is Status.VERIFIED


def test_a_terminated_attempt_waits_for_a_person() -> None:
    for status in OPEN | (UNDER_REVIEW - {Status.SECOND_REVIEW_REQUIRED}):
        rule = decide(status, Action.TERMINATE, Actor.SYSTEM, USUAL)
        assert rule.after is Status.SECOND_REVIEW_REQUIRED
    for action, machine in product((Action.PASS, Action.FAIL), (Actor.PROVIDER, Actor.SYSTEM)):
        rule = decide(Status.SECOND_REVIEW_REQUIRED, action, machine, SUBMITTED)
        assert rule.effect is Effect.NOTE
    assert (
        decide(Status.SECOND_REVIEW_REQUIRED, Action.PASS, Actor.PROCTOR, SUBMITTED).after
        is Status.VERIFIED
    )


@pytest.mark.parametrize("circumstances", CIRCUMSTANCES, ids=str)
def test_the_whole_table(circumstances: Circumstances) -> None:
    """What each actor may do to an attempt in each status, spelled out by hand."""
    assert _written(circumstances) == _walked(circumstances)


def test_the_written_table_has_every_status_and_action() -> None:
    assert set(SHORT) == set(STATUSES)
    blocks = [block.splitlines() for block in TABLE.strip().split("\n\n")]
    headings = [column for heading, *_ in blocks for column in heading.split()[1:]]
    assert sorted(headings) == sorted(SHORT.values())
    for _, *lines in blocks:
        assert sorted(line.split()[0] for line in lines) == sorted(Action)


def test_every_rule_is_reached() -> None:
    """A rule behind another that always comes first would be a lie in the diagram."""
    used = {
        id(rule)
        for status, action, actor, circumstances in product(STATUSES, Action, ACTORS, CIRCUMSTANCES)
        if (rule := _decided(status, action, actor, circumstances)) is not None
    }
    assert [rule for rule in RULES if id(rule) not in used] == []


def test_every_condition_is_used() -> None:
    assert {rule.condition for rule in RULES} == {*Condition, None}


def test_a_refusal_says_what_is_the_matter() -> None:
    with pytest.raises(
        Refused, match="submit by learner is not possible for an attempt that is verified"
    ):
        decide(Status.VERIFIED, Action.SUBMIT, Actor.LEARNER, SUBMITTED)
    with pytest.raises(Refused) as caught:
        decide(Status.CREATED, Action.READY, Actor.LEARNER, USUAL)
    assert not caught.value.is_for_nobody
    with pytest.raises(Refused) as caught:
        decide(Status.CREATED, Action.STOP, Actor.LEARNER, USUAL)
    assert caught.value.is_for_nobody


# -- reading the table ---------------------------------------------------------------------------

Cells = dict[tuple[str, str, str], str]


def _written(circumstances: Circumstances) -> Cells:
    cells: Cells = {}
    for block in TABLE.strip().split("\n\n"):
        heading, *lines = block.splitlines()
        for action, *found in map(str.split, lines):
            for column, cell in zip(heading.split()[1:], found, strict=True):
                cells |= _read(action, column, cell)
    for is_so, differences in (
        (not circumstances.is_proctored, TIMED),
        (circumstances.is_practice, PRACTICE),
        (circumstances.was_submitted, WAS_SUBMITTED),
        (circumstances.is_judged_by_a_person, BY_A_PERSON),
    ):
        for line in differences.strip().splitlines() if is_so else ():
            action, columns, cell = line.split()
            for column in columns.split(","):
                cells |= _read(action, column, cell)
    return cells


def _read(action: str, column: str, cell: str) -> Cells:
    if cell == ".":
        return {}
    cells: Cells = {}
    for part in cell.split(","):
        split = next(i for i, character in enumerate(part) if character in ">=kn")
        for letter in part[:split].replace("+", ""):
            for actor in LETTERS[letter]:
                cells[action, column, actor] = part[split:].removeprefix(">")
    return cells


def _walked(circumstances: Circumstances) -> Cells:
    cells: Cells = {}
    for (status, name), action, actor in product(SHORT.items(), Action, ACTORS):
        rule = _decided(status, action, actor, circumstances)
        if rule is not None:
            outcome = EFFECTS[rule.effect] if rule.after is None else SHORT[rule.after]
            cells[action, name, actor] = outcome
    return cells


def _decided(status: Status | None, action: Action, actor: Actor, circumstances: Circumstances):  # type: ignore[no-untyped-def]
    try:
        return decide(status, action, actor, circumstances)
    except Refused:
        return None
