"""Whether what one execution is given has room: in one frame to the supervisor, and on the disk."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

FRAME_BYTES = 5 * 1024 * 1024
"""Of all files and the input of one execution: in base64 they still fit one frame."""
PAGE_BYTES = 4096
"""The disk is memory: a file takes whole pages of it."""


def room_bytes(limits: Mapping[str, Any]) -> int:
    """The most that can be placed beside a program; three quarters of the disk are its folder."""
    return min(FRAME_BYTES, int(limits["scratch_bytes"]) * 3 // 4)


def has_room(limits: Mapping[str, Any], files: Iterable[bytes], input_bytes: int = 0) -> bool:
    sizes = [len(content) for content in files]
    pages = sum(-(-size // PAGE_BYTES) for size in sizes)
    on_disk = pages * PAGE_BYTES <= int(limits["scratch_bytes"]) * 3 // 4
    return on_disk and sum(sizes) + input_bytes <= FRAME_BYTES
