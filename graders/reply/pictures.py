"""Plots and drawings -> `<img>` with the bytes in it, for what really is a PNG or a JPEG.

A picture is known by its first bytes only, never by a name or a declared type. SVG is refused: it
is markup that may carry scripts. Width and height are read from the header and bounded, because a
file of a few bytes can ask a browser for gigabytes; what follows the picture's end is cut off.

The LMS keeps `msg` in the learner's state of the problem, which it writes again at every save of
that state and copies into its history, and takes it as a form field, of which Django allows 2.5 MB
in all. Hence the budget: room for a few plots of the usual 20 to 50 KB, and far below that limit.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from graders.reply.text import attribute, escaped, tame_text
from sandbox.run import Picture

PICTURE_BYTES = 128 * 1024
"""One picture."""
PICTURES_BYTES = 192 * 1024
"""All of a reply, before base64 makes them a third larger."""
PICTURES = 8
MAX_SIDE = 4096
MAX_PIXELS = 4_000_000
SHOWN_WIDTH = 640
LABEL_CHARS = 120

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
JPEG_END = b"\xff\xd9"
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN = 0xDA


class NotShown(Exception):
    """Why a picture is left out, as a learner reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    media_type: str
    width: int
    height: int
    data: bytes = field(repr=False)


class PictureBudget:
    """Room for the pictures of one reply."""

    def __init__(self) -> None:
        self._bytes_left = PICTURES_BYTES
        self._left = PICTURES

    def markup(self, pictures: tuple[Picture, ...]) -> Iterator[str]:
        """One paragraph for each."""
        for picture in pictures:
            label = tame_text(picture.label or "picture", limit_chars=LABEL_CHARS)
            try:
                image = self._take(picture.data)
            except NotShown as reason:
                yield f"<p>({escaped(label)}: not shown, {reason})</p>"
            else:
                yield f"<p>{escaped(label)}<br/>{_img(image, label)}</p>"

    def _take(self, data: bytes) -> Image:
        image = read_image(data)
        if self._left < 1 or len(image.data) > self._bytes_left:
            raise NotShown("there are too many pictures")
        self._left -= 1
        self._bytes_left -= len(image.data)
        return image


def read_image(data: bytes) -> Image:
    """Raises NotShown."""
    if not data or len(data) > PICTURE_BYTES:
        raise NotShown("it is too large")
    if data.startswith(PNG_MAGIC):
        image = _read_png(data)
    elif data.startswith(JPEG_MAGIC):
        image = _read_jpeg(data)
    else:
        raise NotShown("it is neither PNG nor JPEG")
    if not (0 < image.width <= MAX_SIDE and 0 < image.height <= MAX_SIDE):
        raise NotShown("it is too wide or too high")
    if image.width * image.height > MAX_PIXELS:
        raise NotShown("it has too many pixels")
    return image


def _read_png(data: bytes) -> Image:
    """Chunks of length, name, content and checksum; the first is the header (PNG, section 5)."""
    width = height = 0
    at = len(PNG_MAGIC)
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if (at == len(PNG_MAGIC)) != (name == b"IHDR"):
            break
        end = at + 12 + length
        if end > len(data):
            break
        if name == b"IHDR" and length == 13:
            width, height = struct.unpack_from(">II", data, at + 8)
        if name == b"IEND":
            return Image(media_type="image/png", width=width, height=height, data=data[:end])
        at = end
    raise NotShown("it is a broken PNG")


def _read_jpeg(data: bytes) -> Image:
    """Segments of marker and length up to the first scan (ITU T.81, annex B)."""
    width = height = 0
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _JPEG_WITHOUT_LENGTH:
            at += 2
            continue
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
        if marker == _JPEG_SCAN:
            end = data.rfind(JPEG_END, at)
            if end < 0:
                break
            return Image(media_type="image/jpeg", width=width, height=height, data=data[: end + 2])
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    raise NotShown("it is a broken JPEG")


def _img(image: Image, label: str) -> str:
    source = f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"
    width = min(image.width, SHOWN_WIDTH)
    return f'<img src="{source}" alt="{attribute(label)}" width="{width}"/>'
