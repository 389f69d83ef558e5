"""What every store of files keeps to."""

from __future__ import annotations

import io

import pytest

from xqueue_server.errors import InvalidRequest, NotFound
from xqueue_server.files import Files

LARGE = bytes(range(256)) * 10_000  # 2.5 MB: more than is kept in memory
HOUR_S = 3600.0
FUTURE_S = -HOUR_S
"""Older than an hour from now is everything."""


def saved(files: Files, content: bytes = b"code") -> str:
    blob, size = files.save(io.BytesIO(content), limit_bytes=len(content))
    assert size == len(content)
    return blob


def content_of(files: Files, blob: str) -> bytes:
    with files.open(blob) as source:
        return source.read()


@pytest.mark.parametrize("content", [b"", b"\x00\xff", LARGE], ids=["empty", "bytes", "large"])
def test_what_was_saved_is_read(files: Files, content: bytes) -> None:
    assert content_of(files, saved(files, content)) == content


def test_an_open_file_knows_its_size_and_is_at_its_beginning(files: Files) -> None:
    with files.open(saved(files, LARGE)) as source:
        assert source.tell() == 0
        assert source.seek(0, io.SEEK_END) == len(LARGE)


def test_two_files_never_share_a_name(files: Files) -> None:
    blobs = [saved(files, content) for content in (b"a", b"a", b"b")]
    assert len(set(blobs)) == 3
    assert [content_of(files, blob) for blob in blobs] == [b"a", b"a", b"b"]


def test_nothing_of_a_file_over_the_limit_is_kept(files: Files) -> None:
    with pytest.raises(InvalidRequest, match="larger than 3 bytes"):
        files.save(io.BytesIO(b"four"), limit_bytes=3)
    assert list(files.older_than(FUTURE_S)) == []


def test_nothing_of_a_file_whose_sender_goes_away_is_kept(files: Files) -> None:
    class Breaks(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            if self.tell():
                raise ConnectionResetError
            return super().read(1)

    with pytest.raises(ConnectionResetError):
        files.save(Breaks(b"abc"), limit_bytes=10)
    assert list(files.older_than(FUTURE_S)) == []


def test_removing_twice_is_no_error(files: Files) -> None:
    blob = saved(files)
    files.remove(blob)
    files.remove(blob)
    with pytest.raises(NotFound):
        files.open(blob)


@pytest.mark.parametrize("blob", ["", "..", "../x", "a" * 31, "A" * 32, "a" * 32 + "\n", "é" * 32])
def test_only_names_of_the_stores_own_making_are_looked_up(files: Files, blob: str) -> None:
    with pytest.raises(NotFound):
        files.open(blob)


def test_old_files_are_told_from_new_ones(files: Files) -> None:
    blobs = {saved(files) for _ in range(3)}
    assert list(files.older_than(HOUR_S)) == []
    assert set(files.older_than(FUTURE_S)) == blobs
