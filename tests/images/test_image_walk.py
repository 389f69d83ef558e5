"""An image in which learners could reach what is the grader's grades nobody."""

import json
import subprocess

import pytest

from sandbox.backends.docker import GRADER_BASE_IMAGE, DockerBackend
from sandbox.backends.docker.image_walk import PRIVATE_LABEL
from sandbox.errors import GraderNotUsable
from sandbox.run import ImageGrader, Isolation, Preparation, RunRequest
from sandbox.supervisor.layout import XQ
from sandbox.uids import HIGH_RANGE
from tests.images.conftest import RIGHT

BASE = f"FROM {GRADER_BASE_IMAGE}"
LEARNERS = HIGH_RANGE.start + 12345


def label(*paths):
    return f"LABEL {PRIVATE_LABEL}={json.dumps(json.dumps(paths))}"


def make_ready(backend, image, **options):
    backend.prepare(Preparation(grader=ImageGrader(image=image.id), **options))


OPEN = {
    "a folder that learners can list": (
        ["RUN chmod 0755 /grade"],
        "/grade can be listed by learners",
    ),
    "a folder whose names can be guessed": (
        ["RUN chmod 0711 /grade"],
        "/grade can be entered by learners",
    ),
    "a file in an open folder": (
        ["RUN echo 42 >/grade/answer && chmod 0755 /grade"],
        "/grade/answer can be read by learners",
    ),
    "a declared file": (
        ["RUN mkdir /opt/x && echo 42 >/opt/x/answer", label("/opt/x/answer")],
        "/opt/x/answer can be read by learners",
    ),
    "a declared program": (
        ["RUN echo 42 >/opt/judge && chmod 0711 /opt/judge", label("/opt/judge")],
        "/opt/judge can be executed by learners",
    ),
    "a file below a declared folder": (
        ["RUN mkdir -p /opt/x/y && echo 42 >/opt/x/y/answer", label("/opt/x")],
        "/opt/x/y/answer can be read by learners",
    ),
    "a link to what is open": (
        ["RUN mkdir /opt/x && ln -s /opt/x /opt/private", label("/opt/private")],
        "/opt/private can be listed by learners",
    ),
    "a group that a learner may have": (
        [
            f"RUN mkdir /opt/x && chown 0:{LEARNERS} /opt/x && chmod 0750 /opt/x",
            label("/opt/x"),
        ],
        "/opt/x belongs to a group that a learner may have",
    ),
    "a user that a learner may be": (
        [f"RUN mkdir /opt/x && chown {LEARNERS}:0 /opt/x && chmod 0700 /opt/x", label("/opt/x")],
        "/opt/x belongs to a user that a learner may be",
    ),
    "a program that makes its user the grader": (
        ["RUN cp /bin/cat /opt/cat && chown 10001:0 /opt/cat && chmod 4755 /opt/cat"],
        "/opt/cat makes whoever executes it the grader",
    ),
    "a program that makes its group the grader's": (
        ["RUN cp /bin/cat /opt/cat && chown 0:10001 /opt/cat && chmod 2755 /opt/cat"],
        "/opt/cat makes whoever executes it the grader",
    ),
    "a declared path that is not there": (
        [label("/opt/typo")],
        "/opt/typo does not exist in the image",
    ),
    "no folder for the grader": (["RUN rmdir /grade"], "/grade does not exist"),
    "a label that is no list": ([f"LABEL {PRIVATE_LABEL}=/opt/x"], "not a list of paths"),
    "a label with a relative path": ([label("opt/x")], "not a list of paths"),
    "a supervisor that knows no walk": (
        ["RUN printf '#!/bin/sh\\necho {}\\n' >/xq/xq"],
        "can not be examined",
    ),
}


@pytest.mark.parametrize("case", OPEN, ids=lambda case: case.replace(" ", "-"))
def test_an_image_is_refused_that_has(case, image_of_lines, new_host):
    lines, refusal = OPEN[case]
    image = image_of_lines(BASE, *lines)
    with pytest.raises(GraderNotUsable, match=refusal):
        make_ready(new_host, image)


CLOSED = {
    "nothing more than its base": ["LABEL org.xqueue.test=closed"],
    "a closed declared folder with open files": [
        "RUN mkdir -m 0700 /opt/x && echo 42 >/opt/x/answer && chmod 0644 /opt/x/answer",
        label("/opt/x", "/opt/x/answer"),
    ],
    "a closed declared file": ["RUN echo 42 >/opt/x && chmod 0600 /opt/x", label("/opt/x")],
    "a program that makes its user root": ["RUN cp /bin/cat /opt/ && chmod 4755 /opt/cat"],
    "a folder of a group that no learner has": ["RUN chown 0:50 /opt && chmod 0750 /opt"],
}


@pytest.mark.parametrize("case", CLOSED, ids=lambda case: case.replace(" ", "-"))
def test_an_image_may_have(case, image_of_lines, new_host):
    make_ready(new_host, image_of_lines(BASE, *CLOSED[case]))


def test_an_open_image_grades_nobody_even_when_nobody_prepared_it(image_of_lines, new_host):
    image = image_of_lines(BASE, "RUN echo 1 >/opt/x", label("/opt/x"))
    for isolation in (Isolation.SPLIT_UID, Isolation.SPLIT_CONTAINER):
        request = RunRequest(
            run_id="open", grader=ImageGrader(image=image.id), job=RIGHT, isolation=isolation
        )
        with pytest.raises(GraderNotUsable, match="/opt/x can be read"):
            new_host.run(request)


def test_an_image_is_walked_once_under_a_learners_uid(image_of_lines, engine):
    """`choose_uid` is asked for each container; without a pool, preparing takes one."""
    asked = []

    def choose(candidates):
        asked.append(candidates)
        return LEARNERS

    image = image_of_lines(BASE, "LABEL org.xqueue.test=once")
    backend = DockerBackend(choose_uid=choose)
    for _ in range(2):
        make_ready(backend, image)
    backend.close()
    assert asked == [HIGH_RANGE] * 2  # walked and tried; the second time neither


def test_a_walk_leaves_no_container(image_of_lines, new_host, engine):
    make_ready(new_host, image_of_lines(BASE, "LABEL org.xqueue.test=leaves"))
    new_host.settle()
    label_of_ours = {"label": new_host._ownership.own_label}
    found = engine.containers.list(all=True, filters=label_of_ours, ignore_removed=True)
    assert found == []


def test_nobody_with_rights_is_believed():
    """Root would find everything open; a member of further groups, more than a learner does."""
    words = [XQ, "readable", str(HIGH_RANGE.start), str(HIGH_RANGE.stop - 1), "/"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "a user that nothing belongs to" in done.stderr
    assert done.stdout == ""
