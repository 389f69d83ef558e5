"""Frames arrive whole or not at all."""

import os

import pytest

from sandbox.supervisor.frames import (
    FrameDecoder,
    FrameError,
    encode,
    pack_bytes,
    read_frame,
    unpack_bytes,
    write_frame,
)


def test_frames_cut_anywhere_come_out_whole():
    frames = [{"type": "a", "text": "é" * 50}, {"type": "b"}]
    data = b"".join(encode(frame) for frame in frames)
    for size in range(1, 40):
        decoder, found = FrameDecoder(), []
        for start in range(0, len(data), size):
            decoder.feed(data[start : start + size])
            found += iter(decoder.next_frame, None)
        assert found == frames


@pytest.mark.parametrize("body", [b"", b"nope", b"[]", b"3", b'{"x":1}', b'{"type":1}', b"\xff"])
def test_a_body_that_is_no_typed_object_is_refused(body):
    decoder = FrameDecoder()
    decoder.feed(len(body).to_bytes(4, "big") + body)
    with pytest.raises(FrameError):
        decoder.next_frame()


def test_deep_nesting_is_refused_and_not_a_crash():
    body = b"[" * 200_000
    decoder = FrameDecoder()
    decoder.feed(len(body).to_bytes(4, "big") + body)
    with pytest.raises(FrameError):
        decoder.next_frame()


def test_a_frame_too_large_is_refused_before_its_body_is_read():
    decoder = FrameDecoder(100)
    decoder.feed((101).to_bytes(4, "big"))
    with pytest.raises(FrameError, match="101"):
        decoder.next_frame()


def test_a_pipe_carries_frames_and_ends_with_none():
    read_fd, write_fd = os.pipe()
    write_frame(write_fd, {"type": "x"})
    os.close(write_fd)
    assert read_frame(read_fd) == {"type": "x"}
    assert read_frame(read_fd) is None
    os.close(read_fd)


def test_any_bytes_survive_packing():
    assert unpack_bytes(pack_bytes(bytes(range(256)))) == bytes(range(256))


@pytest.mark.parametrize("text", [None, 5, "a", "é"])
def test_what_is_not_base64_is_refused(text):
    with pytest.raises(FrameError):
        unpack_bytes(text)
