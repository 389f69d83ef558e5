"""Only what is a PNG or a JPEG of a sensible size is shown, as a learner's browser reads it."""

from __future__ import annotations

import base64
import re

import pytest

from graders.reply.pictures import (
    MAX_SIDE,
    PICTURE_BYTES,
    PICTURES,
    PICTURES_BYTES,
    NotShown,
    PictureBudget,
    read_image,
)
from sandbox.run import Picture
from tests.reply.builders import jpeg, png

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def markup(*pictures):
    return list(PictureBudget().markup(pictures))


@pytest.mark.parametrize(
    ("data", "media_type"), [(png(30, 20), "image/png"), (jpeg(30, 20), "image/jpeg")]
)
def test_a_picture_is_known_by_its_bytes_and_measured(data, media_type):
    image = read_image(data)
    assert (image.media_type, image.width, image.height) == (media_type, 30, 20)
    assert image.data == data


@pytest.mark.parametrize("make", [png, jpeg])
def test_what_follows_a_pictures_end_is_cut_off(make):
    assert read_image(make(rest=b"<script>alert(1)</script>")).data == make()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "too large"),
        (png() + b"x" * PICTURE_BYTES, "too large"),
        (SVG, "neither"),
        (b"<html>", "neither"),
        (b"GIF89a" + b"x" * 50, "neither"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "neither"),
        (b" " + png(), "neither"),
        (png()[:8], "broken"),
        (png()[:20], "broken"),
        (png()[:-12], "broken"),
        (png()[:8] + png()[33:], "broken"),
        (jpeg()[:4], "broken"),
        (jpeg()[:-2], "broken"),
        (png(MAX_SIDE + 1, 1), "too wide"),
        (png(2**31, 2**31), "too wide"),
        (png(0, 5), "too wide"),
        (png(4000, 4000), "pixels"),
        (jpeg(4000, 4000), "pixels"),
        (jpeg(65535, 2), "too wide"),
    ],
)
def test_anything_else_is_refused_with_a_reason(data, why):
    with pytest.raises(NotShown, match=why):
        read_image(data)


def test_every_prefix_of_a_picture_has_an_answer():
    for data in (png(40, 40), jpeg(40, 40)):
        for length in range(len(data)):
            with pytest.raises(NotShown):
                read_image(data[:length])


def test_a_picture_is_shown_with_its_label_and_no_wider_than_the_page():
    (shown,) = markup(Picture(label='a "plot" <b>', data=png(900, 3)))
    assert 'a "plot" &lt;b&gt;<br/>' in shown
    assert 'alt="a &quot;plot&quot; &lt;b>"' in shown
    assert 'width="640"' in shown
    (source,) = re.findall('src="data:image/png;base64,([^"]*)"', shown)
    assert base64.b64decode(source) == png(900, 3)


def test_a_picture_that_is_not_shown_says_why():
    assert markup(Picture(label="p", data=SVG)) == [
        "<p>(p: not shown, it is neither PNG nor JPEG)</p>"
    ]


def test_a_reply_has_room_for_some_pictures_only():
    shown = markup(*[Picture(label="p", data=png())] * (PICTURES + 1))
    assert ["<img" in one for one in shown] == [True] * PICTURES + [False]
    assert "too many" in shown[-1]


def test_the_bytes_of_all_pictures_are_bounded():
    large = png(280, 280, noise=True)
    fit = PICTURES_BYTES // len(large)
    assert 0 < fit < PICTURES
    shown = markup(*[Picture(label="p", data=large)] * PICTURES)
    assert sum("<img" in one for one in shown) == fit
