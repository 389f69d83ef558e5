"""An image is as old as its base, however lately it was built on it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sandbox.backends.docker.image_age import oldest
from sandbox.probe.script import PROBE_GRADER
from sandbox.run import ImageGrader, Limits, Preparation


@pytest.mark.parametrize(
    ("created", "year"),
    [
        ([1767225600, 1735689600], 2025),
        ([1735689600, 1767225600], 2025),
        ([1767225600, 0], 2026),
        ([1767225600, -62135596800], 2026),
        ([1767225600, 315532800], 2026),
        ([1767225600, None], 2026),
        ([0], None),
        ([], None),
    ],
    ids=["base", "any order", "1970", "year 1", "1980", "no date", "only 1970", "no layer"],
)
def test_the_oldest_layer_with_a_real_date_counts(created, year):
    found = oldest([{"Created": seconds} for seconds in created])
    assert (found and found.year) == year


def test_preparing_tells_the_age_of_the_base_and_not_of_what_was_built_on_it(engine, open_docker):
    backend = open_docker(0)
    found = backend.prepare(Preparation(grader=PROBE_GRADER, limits=Limits()))
    ours = engine.api.history("xqueue/grader-base:local")
    assert found == datetime.fromtimestamp(ours[-1]["Created"], UTC)
    assert found < datetime.fromtimestamp(ours[0]["Created"], UTC)
    image = ImageGrader(image="xqueue/grader-functions:local")
    assert backend.prepare(Preparation(grader=image, limits=Limits())) == found
