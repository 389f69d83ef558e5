"""A small picture to draw lines and dots into, written as PNG by the standard library alone."""

from __future__ import annotations

import struct
import zlib

WHITE, GREY, BLUE, BLACK = range(4)
PALETTE = bytes((255, 255, 255, 170, 170, 170, 0, 90, 200, 60, 60, 60))


class Canvas:
    """`width` x `height` dots of a fixed palette; (0, 0) is the lower left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._rows = [bytearray(width) for _ in range(height)]

    def dot(self, x: float, y: float, colour: int, size: int = 1) -> None:
        """What lies outside is not drawn."""
        for column in range(round(x) - size // 2, round(x) - size // 2 + size):
            for row in range(round(y) - size // 2, round(y) - size // 2 + size):
                if 0 <= column < self.width and 0 <= row < self.height:
                    self._rows[self.height - 1 - row][column] = colour

    def line(self, start: tuple[float, float], end: tuple[float, float], colour: int) -> None:
        (x1, y1), (x2, y2) = start, end
        steps = max(1, round(max(abs(x2 - x1), abs(y2 - y1))))
        for step in range(steps + 1):
            part = step / steps
            self.dot(x1 + (x2 - x1) * part, y1 + (y2 - y1) * part, colour)

    def png(self) -> bytes:
        """See https://www.w3.org/TR/png-3/: one byte per dot, an index into the palette."""
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 3, 0, 0, 0)
        # Each row is preceded by the number of its filter; 0 is none.
        rows = b"".join(b"\0" + row for row in self._rows)
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            (
                _chunk(b"IHDR", header),
                _chunk(b"PLTE", PALETTE),
                _chunk(b"IDAT", zlib.compress(rows, 9)),
                _chunk(b"IEND", b""),
            )
        )


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
