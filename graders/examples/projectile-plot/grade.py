"""Grades `heights(times, speed, angle)` of a thrown ball and shows the learner both curves."""

from __future__ import annotations

import math

from canvas import BLACK, BLUE, GREY, Canvas

from graders.library import GraderSession, call_function, grade_with, same_value

GRAVITY = 9.81
TOLERANCE = 1e-3
THROWS = {"slow": (10.0, 45.0), "steep": (25.0, 80.0), "other": (17.0, 30.0)}
"""Test of grader.yaml -> speed in m/s and angle in degrees."""
HIDDEN = {"other"}
STEPS = 60
WIDTH, HEIGHT, MARGIN = 480, 240, 12


def grade(session: GraderSession) -> None:
    for test_id, (speed, angle) in THROWS.items():
        grade_throw(session, test_id, speed, angle)


def grade_throw(session: GraderSession, test_id: str, speed: float, angle: float) -> None:
    right = expected_heights(speed, angle)
    times = [time for time, _ in right]
    answer = call_function(session, session.job.response, "heights", [times, speed, angle])
    values = [height for _, height in right]
    passed = answer.problem is None and same_value(values, answer.value, TOLERANCE)
    score = 1 if passed else 0
    if test_id in HIDDEN:
        session.report(test_id, score=score, status=answer.status)
        return
    given = numbers(answer.value, len(times))
    problem = answer.problem
    if problem is None and given is None:
        problem = f"heights(...) must return a list of {len(times)} numbers."
    session.report(
        test_id,
        score=score,
        status=answer.status,
        output=problem or "",
        pictures=[("The right curve is grey, yours is blue", plot(times, values, given or []))],
    )


def expected_heights(speed: float, angle: float) -> list[tuple[float, float]]:
    """(time, height) from the throw until the ball is down again."""
    upwards = speed * math.sin(math.radians(angle))
    flight_s = 2 * upwards / GRAVITY
    times = [round(flight_s * step / STEPS, 4) for step in range(STEPS + 1)]
    return [(time, upwards * time - GRAVITY * time * time / 2) for time in times]


def numbers(value: object, count: int) -> list[float] | None:
    """The learner's value when it is `count` numbers; their code may have returned anything."""
    if not isinstance(value, list) or len(value) != count:
        return None
    if not all(type(item) in (int, float) for item in value):
        return None
    try:
        return [float(item) for item in value]
    except OverflowError:
        return None


def plot(times: list[float], right: list[float], given: list[float]) -> bytes:
    canvas = Canvas(WIDTH, HEIGHT)
    across = (WIDTH - 2 * MARGIN) / times[-1]
    # A curve far too high is cut off at the top, so that the right one stays readable.
    up = (HEIGHT - 2 * MARGIN) / (1.5 * max(right))
    canvas.line((MARGIN, MARGIN), (WIDTH - MARGIN, MARGIN), BLACK)
    canvas.line((MARGIN, MARGIN), (MARGIN, HEIGHT - MARGIN), BLACK)
    for heights, colour, size in ((right, GREY, 3), (given, BLUE, 3)):
        for time, height in zip(times, heights, strict=False):
            if math.isfinite(height) and abs(height * up) < 10 * HEIGHT:
                canvas.dot(MARGIN + time * across, MARGIN + height * up, colour, size)
    picture: bytes = canvas.png()
    return picture


grade_with(grade)
