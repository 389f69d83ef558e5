"""The page for course teams shows every kind of reply and says the bounds that hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from docs.screenshots.make import IMAGES, MAX_BYTES, lms_page
from docs.screenshots.replies import REPLIES
from graders.reply import blocks, build_reply, markup, message, pictures, text
from tests.reply.builders import as_browser
from xqueue_server.models.lms_interface import why_refused

PAGE = Path("docs/graders/what-learners-see.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REPLIES)
def test_every_shown_reply_is_one_the_lms_takes_and_has_a_picture(name):
    reply = build_reply(REPLIES[name])
    assert why_refused("https://lms/score_update", reply) is None
    assert as_browser(lms_page(REPLIES[name])).find(".//div[@class='test']") is not None
    assert f"(images/{name}.png)" in PAGE
    assert 0 < (IMAGES / f"{name}.png").stat().st_size < MAX_BYTES


def test_no_picture_is_left_over():
    assert {path.stem for path in IMAGES.glob("*.png")} == set(REPLIES)


def test_the_replies_cover_both_verdicts():
    assert {json.loads(build_reply(each))["correct"] for each in REPLIES.values()} == {True, False}


@pytest.mark.parametrize(
    "said",
    [
        f"{text.TEXT_CHARS:,} characters",
        f"{markup.HTML_CHARS:,} characters a test",
        f"{blocks.HTML_CHARS_IN_ALL:,} a reply",
        f"{message.MSG_CHARS:,} characters",
        f"{pictures.PICTURE_BYTES // 1024} KB each",
        f"{pictures.PICTURES_BYTES // 1024} KB and {pictures.PICTURES} pictures",
        f"{pictures.MAX_SIDE} pixels",
        f"{pictures.MAX_PIXELS // 1_000_000} million",
    ],
)
def test_the_bounds_are_those_of_the_code(said):
    assert said in re.sub(r"\s+", " ", PAGE)
