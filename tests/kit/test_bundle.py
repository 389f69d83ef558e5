"""A directory becomes the same bytes each time, comes back as it was, and bytes from elsewhere do
no harm."""

import gzip
import io
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graders import bundle as bundle_module
from graders.bundle import (
    MANIFEST_PATH,
    MAX_BUNDLE_BYTES,
    digest_of,
    manifest_in,
    pack,
    unpack,
)
from graders.errors import BundleRefused, ManifestInvalid
from sandbox.bundle import MAX_GRADER_BYTES
from tests.kit.written import SQUARE, write_files

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_ é.-]{0,20}", fullmatch=True).filter(
    lambda name: not name.endswith(("~", ".pyc")) and not bundle_module._stays_at_home(name)
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
RESERVED = ("grade.py", "grader.yaml", "Dockerfile")


def tree(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def without_prefixes(files):
    """A path cannot be a file and a folder; some systems do not tell case apart."""
    kept = {}
    for path, content in files.items():
        parts = path.casefold().split("/")
        taken = {other.casefold() for other in kept}
        above = {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
        below = any(other.startswith(path.casefold() + "/") for other in taken)
        if not (above & taken) and not below and parts[0] not in map(str.casefold, RESERVED):
            kept[path] = content
    return kept


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(st.dictionaries(PATHS, st.binary(max_size=2000), max_size=8))
def test_every_file_comes_back_as_it_was(files):
    files = without_prefixes(files)
    with tempfile.TemporaryDirectory() as folder:
        source = write_files(Path(folder, "source"), {"grader.yaml": SQUARE, **files})
        bundle = pack(source)
        manifest = unpack(bundle.content, Path(folder, "target"))
        came = tree(Path(folder, "target"))
        assert manifest == bundle.manifest
        assert {path: came[path] for path in files} == files
        assert tuple(sorted(came)) == bundle.paths
        assert set(came) == {*files, "grader.yaml", "grade.py", *_own_paths()}


def _own_paths():
    return (".xqueue/manifest.json", ".xqueue/plan.json")


def test_the_same_directory_gives_the_same_bytes(grader_at, tmp_path):
    files = {"grader.yaml": SQUARE, "b.txt": "b", "a/c.txt": "c"}
    first = pack(write_files(tmp_path / "one", files))
    other = write_files(tmp_path / "two", dict(reversed(files.items())))
    os.utime(other / "b.txt", (1, 1))
    (other / "b.txt").chmod(0o640)
    second = pack(other)
    assert first.content == second.content
    assert first.digest == second.digest == digest_of(first.content)
    (other / "b.txt").write_text("B")
    assert pack(other).digest != first.digest


def test_what_may_be_executed_stays_so(grader_at, tmp_path):
    directory = grader_at({"grader.yaml": SQUARE, "tool": "#!/bin/sh", "data": "x"})
    (directory / "tool").chmod(0o755)
    unpack(pack(directory).content, tmp_path / "out")
    assert os.access(tmp_path / "out" / "tool", os.X_OK)
    assert not os.access(tmp_path / "out" / "data", os.X_OK)
    assert (tmp_path / "out" / "data").stat().st_mode & 0o077 == 0


def test_samples_caches_and_hidden_files_stay_at_home_and_are_named(grader_at):
    directory = grader_at(
        {
            "grader.yaml": SQUARE + "samples:\n  - {file: s/a.py, score: 1}\n",
            "s/a.py": "x",
            "s/other.txt": "x",
            ".git/config": "secret",
            ".env": "secret",
            "__pycache__/a.pyc": "x",
            "notes.txt~": "x",
        }
    )
    bundle = pack(directory)
    assert bundle.left_out == (".env", ".git/", "__pycache__/", "notes.txt~", "s/a.py")
    assert "s/other.txt" in bundle.paths


def test_a_program_of_the_authors_is_not_replaced(grader_at, tmp_path):
    directory = grader_at(
        {"grader.yaml": "name: x\nlanguage: python\n", "grade.py": "print('mine')\n"}
    )
    unpack(pack(directory).content, tmp_path / "out")
    assert (tmp_path / "out" / "grade.py").read_text() == "print('mine')\n"


def test_a_link_inside_travels_as_the_file_it_is(grader_at, tmp_path):
    directory = grader_at({"grader.yaml": SQUARE, "a": "x"})
    (directory / "b").symlink_to("a")
    unpack(pack(directory).content, tmp_path / "out")
    assert (tmp_path / "out" / "b").read_text() == "x"
    assert not (tmp_path / "out" / "b").is_symlink()


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "missing", "/", "folder"])
def test_a_link_that_leads_out_or_to_a_folder_is_refused(grader_at, tmp_path, target):
    directory = grader_at({"grader.yaml": SQUARE, "folder/x": "x"})
    (tmp_path / "outside").write_text("x")
    (directory / "link").symlink_to(target)
    with pytest.raises(BundleRefused, match="link"):
        pack(directory)


def test_a_special_file_is_refused(grader_at):
    directory = grader_at(SQUARE)
    os.mkfifo(directory / "pipe")
    with pytest.raises(BundleRefused, match="pipe"):
        pack(directory)


def test_too_much_is_refused_with_the_largest_file(grader_at):
    directory = grader_at({"grader.yaml": SQUARE, "noise.bin": os.urandom(MAX_BUNDLE_BYTES)})
    with pytest.raises(BundleRefused, match=r"noise\.bin"):
        pack(directory)
    with (directory / "noise.bin").open("wb") as file:
        file.truncate(MAX_GRADER_BYTES + 1)
    with pytest.raises(BundleRefused, match=r"noise\.bin"):
        pack(directory)


def test_too_many_files_are_refused(grader_at):
    files = {f"f/{number}": "" for number in range(2001)}
    with pytest.raises(BundleRefused, match="2002 files"):
        pack(grader_at({"grader.yaml": SQUARE, **files}))


def test_files_that_leave_no_room_for_the_learner_are_refused(grader_at):
    directory = grader_at({"grader.yaml": SQUARE + "files: [big]\n", "big": bytes(5 * 1024 * 1024)})
    with pytest.raises(BundleRefused, match="beside the learner's program"):
        pack(directory)


def member(name="x", content=b"", **facts):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in facts.items():
        setattr(info, key, value)
    return info, content


def tar_gz(*members, extra=b""):
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(inner.getvalue()) + extra


@pytest.fixture
def manifest_member(grader_at, tmp_path):
    unpack(pack(grader_at(SQUARE)).content, tmp_path / "good")
    return member(MANIFEST_PATH, (tmp_path / "good" / MANIFEST_PATH).read_bytes())


@pytest.mark.parametrize(
    "bad",
    [
        member("../x"),
        member("a/../../x"),
        member("/etc/x"),
        member("a//b"),
        member("./a"),
        member(""),
        member("a\\b"),
        member("C:x"),
        member("a\nb"),
        member("x" * 201),
        member("/".join(["x" * 100] * 5)),
        member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("link", type=tarfile.LNKTYPE, linkname=MANIFEST_PATH),
        member("pipe", type=tarfile.FIFOTYPE),
        member("disk", type=tarfile.BLKTYPE),
        member("tty", type=tarfile.CHRTYPE),
        member("folder", type=tarfile.DIRTYPE),
        member("sparse", type=tarfile.GNUTYPE_SPARSE),
        member(MANIFEST_PATH, b"again"),
    ],
    ids=lambda bad: repr(bad[0].name[:20]),
)
def test_a_bundle_with_anything_but_plain_files_is_refused(manifest_member, tmp_path, bad):
    content = tar_gz(manifest_member, bad)
    with pytest.raises((BundleRefused, ManifestInvalid)):
        unpack(content, tmp_path / "deep" / "out")
    assert {path.name for path in tmp_path.iterdir()} <= {"grader", "good", "deep"}


def test_a_good_one_made_by_hand_is_taken(manifest_member, tmp_path):
    unpack(tar_gz(manifest_member, member("a/b", b"x")), tmp_path / "out")
    assert (tmp_path / "out" / "a" / "b").read_bytes() == b"x"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not gzip",
        gzip.compress(b""),
        gzip.compress(b"not tar" * 1000),
        gzip.compress(bytes(512 * 4))[:-4],
        tar_gz(member("a", b"x")),
        tar_gz(member(MANIFEST_PATH, b"{")),
        tar_gz(member(MANIFEST_PATH, b"[" * 100_000)),
        tar_gz(member(MANIFEST_PATH, b"{}")),
        b"x" * (MAX_BUNDLE_BYTES + 1),
    ],
    ids=range(10),
)
def test_what_is_no_bundle_is_refused(content, tmp_path):
    with pytest.raises((BundleRefused, ManifestInvalid)):
        unpack(content, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_may_follow_a_bundle(manifest_member, tmp_path):
    with pytest.raises(BundleRefused, match="follows"):
        unpack(tar_gz(manifest_member, extra=b"x"), tmp_path / "out")


def test_a_bomb_is_not_unpacked(manifest_member, tmp_path):
    bomb = tar_gz(manifest_member, member("bomb", bytes(200 * 1024 * 1024)))
    assert len(bomb) < MAX_BUNDLE_BYTES
    with pytest.raises(BundleRefused, match="more than"):
        unpack(bomb, tmp_path / "out")


def test_too_many_members_are_refused(manifest_member, tmp_path):
    many = tar_gz(manifest_member, *(member(f"f{number}") for number in range(2001)))
    with pytest.raises(BundleRefused, match="files"):
        unpack(many, tmp_path / "out")


def test_an_existing_directory_is_left_alone(grader_at, tmp_path):
    content = pack(grader_at(SQUARE)).content
    (tmp_path / "out").mkdir()
    with pytest.raises(BundleRefused, match="exists"):
        unpack(content, tmp_path / "out")


def test_a_file_that_is_also_a_folder_is_refused(manifest_member, tmp_path):
    with pytest.raises(BundleRefused):
        unpack(tar_gz(manifest_member, member("a", b""), member("a/b", b"")), tmp_path / "out")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_damaged_bundle_is_refused_or_whole(data):
    with tempfile.TemporaryDirectory() as folder:
        bundle = pack(write_files(Path(folder, "g"), {"grader.yaml": SQUARE}))
        content = bytearray(bundle.content)
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        try:
            manifest = manifest_in(bytes(content))
        except (BundleRefused, ManifestInvalid):
            return
        assert manifest == bundle.manifest
