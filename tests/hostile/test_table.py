"""The table of hostile submissions is whole, and its page says what it says."""

from pathlib import Path

import pytest

from sandbox.factory import BackendName
from sandbox.hostile.case import Elsewhere, Engine
from sandbox.hostile.engines import engine_of
from sandbox.hostile.page import render
from sandbox.hostile.table import CANARY_NUMBERS, CASES, case_of, main_number
from sandbox.run import Isolation
from tests.support.sandboxes import ENGINES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hostile-suite.md"
LISTED = set(range(1, 85))


def test_every_number_of_the_list_has_a_case():
    assert LISTED - {main_number(case) for case in CASES} == set()


def test_numbers_and_names_are_unique():
    assert len({case.number for case in CASES}) == len(CASES)
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_deviation_has_a_reason():
    assert [
        case.number
        for case in CASES
        for deviation in case.deviations.values()
        if len(deviation.reason) < 20
    ] == []


def test_every_deviation_deviates():
    assert [
        case.number
        for case in CASES
        for deviation in case.deviations.values()
        if deviation.expected == case.expected
    ] == []


def test_the_page_is_what_the_table_says():
    assert PAGE.read_text() == render(), "run: python -m sandbox.hostile.page > " + str(PAGE)


def test_the_canary_is_part_of_the_suite_and_the_same_everywhere():
    for number in CANARY_NUMBERS:
        case = case_of(number)
        assert not isinstance(case.plan, Elsewhere)
        assert set(case.deviations) <= {Engine.GVISOR}


def test_every_engine_of_the_tests_is_an_engine_of_the_table():
    for row, backend_name, isolation, runtime in ENGINES.values():
        assert engine_of(backend_name, isolation, runtime) is row


@pytest.mark.parametrize(
    ("backend", "isolation", "runtime"),
    [
        (BackendName.DOCKER, Isolation.NONE, None),
        (BackendName.DOCKER, Isolation.SPLIT_UID, "runsc"),
        (BackendName.BUBBLEWRAP, Isolation.SPLIT_UID, None),
    ],
)
def test_nothing_is_promised_of_other_combinations(backend, isolation, runtime):
    with pytest.raises(ValueError):
        engine_of(backend, isolation, runtime)


def test_each_engine_has_a_column():
    head = next(line for line in PAGE.read_text().splitlines() if line.startswith("| no. |"))
    assert all(f"| {engine} |" in head for engine in Engine)
