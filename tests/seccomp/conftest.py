"""Each place in which our filters hold, as a function that runs a program there."""

import pytest

from tests.seccomp.places import in_a_box, in_a_container


@pytest.fixture(params=["box", "container"])
def run(request):
    """`run(command, filtered=True)` in a box and in a container."""
    if request.param == "box":
        return in_a_box
    image = request.getfixturevalue("engine").images.get("xqueue/grader-base:local").id
    return lambda command, filtered=True: in_a_container(command, image, filtered=filtered)
