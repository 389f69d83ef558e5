"""Graders on this host's disk: whatever happens to the disk or on the way, no wrong grader."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import io
import os
import tarfile
import threading
from pathlib import Path

import pytest

from grader_worker.errors import ServerUnreachable
from grader_worker.published.grader_cache import UNUSED_S, BundleCache, VersionCache
from grader_worker.published.grader_cache import default_cache_dir as cache_dir
from grader_worker.published.server_api import published_grader
from graders.bundle import MAX_BUNDLE_BYTES, digest_of, pack
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from tests.worker.fake_api import FakeApi, square_grader


@pytest.fixture
def bundle(tmp_path):
    return pack(square_grader(tmp_path / "author"))


@pytest.fixture
def cache(tmp_path):
    return BundleCache(tmp_path / "cache")


def archive(name, content=b"x", kind=tarfile.REGTYPE, link=""):
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size, info.type, info.linkname = len(content), kind, link
        tar.addfile(info, io.BytesIO(content))
    return gzip.compress(inner.getvalue())


def entries(tmp_path):
    return [path.name for path in (tmp_path / "cache" / "bundles").iterdir()]


def never():
    pytest.fail("it was fetched again")


def full(*_arguments, **_options):
    raise OSError(errno.ENOSPC, "No space left on device")


# Bundles


def test_a_bundle_is_fetched_once_and_lies_there_unpacked(cache, bundle):
    place = cache.directory(bundle.digest, lambda: bundle.content)
    assert (place / "grader.yaml").is_file()
    assert cache.directory(bundle.digest, never) == place


def test_bytes_of_another_digest_are_the_ways_fault_and_are_not_kept(cache, bundle):
    with pytest.raises(ServerUnreachable, match="another digest"):
        cache.directory(bundle.digest, lambda: bundle.content[:-1])
    assert cache.directory(bundle.digest, lambda: bundle.content).is_dir()


NO_BUNDLES = {
    "nothing": lambda: b"",
    "no archive": lambda: b"no archive",
    "above": lambda: archive("../outside"),
    "from the root": lambda: archive("/outside"),
    "above after a step": lambda: archive("a/../../outside"),
    "symbolic link": lambda: archive("outside", b"", tarfile.SYMTYPE, "/etc/passwd"),
    "hard link": lambda: archive("outside", b"", tarfile.LNKTYPE, "/etc/passwd"),
    "pipe": lambda: archive("outside", b"", tarfile.FIFOTYPE),
    "no manifest": lambda: archive("no-manifest"),
    "unknown format": lambda: archive(".xqueue/manifest.json", b'{"format": 99}'),
    "too large": lambda: archive("large", os.urandom(MAX_BUNDLE_BYTES + 1)),
    "too large unpacked": lambda: gzip.compress(bytes(300 * 1024 * 1024), 1),
}


@pytest.mark.parametrize("kind", NO_BUNDLES)
def test_what_is_no_bundle_is_the_graders_fault_and_leaves_nothing(cache, tmp_path, kind):
    content = NO_BUNDLES[kind]()
    with pytest.raises(GraderNotUsable):
        cache.directory(digest_of(content), lambda: content)
    assert entries(tmp_path) == []
    assert not list(tmp_path.rglob("outside"))


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../x", "md5:" + "0" * 64])
def test_what_is_no_digest_touches_no_disk(cache, tmp_path, digest):
    with pytest.raises(GraderNotUsable):
        cache.directory(digest, never)
    assert not (tmp_path / "cache").exists()


def test_several_that_fetch_at_once_get_one_whole_directory(cache, bundle, tmp_path):
    together = threading.Barrier(6, timeout=60)

    def fetch():
        together.wait()
        return bundle.content

    found = []
    threads = [
        threading.Thread(target=lambda: found.append(cache.directory(bundle.digest, fetch)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [found[0]] * 6
    assert entries(tmp_path) == [found[0].name]


def test_a_folder_that_can_not_be_used_is_this_hosts_fault(tmp_path, bundle):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SandboxUnavailable, match="cache of graders"):
        BundleCache(tmp_path / "file").directory(bundle.digest, lambda: bundle.content)


@pytest.mark.parametrize("step", ["mkdir", "rename"])
def test_a_full_disk_is_not_the_graders_fault(cache, bundle, tmp_path, monkeypatch, step):
    monkeypatch.setattr(Path, step, full)
    with pytest.raises(SandboxUnavailable, match="No space left"):
        cache.directory(bundle.digest, lambda: bundle.content)
    monkeypatch.undo()
    assert cache.directory(bundle.digest, lambda: bundle.content).is_dir()


def test_a_disk_that_fills_up_while_unpacking_is_not_the_graders_fault(
    cache, bundle, tmp_path, monkeypatch
):
    monkeypatch.setattr("graders.bundle._write", full)
    with pytest.raises(SandboxUnavailable, match="No space left"):
        cache.directory(bundle.digest, lambda: bundle.content)
    assert entries(tmp_path) == []


def test_what_was_not_used_for_a_week_goes_and_is_fetched_again(tmp_path):
    now = [1_000_000_000.0]
    cache = BundleCache(tmp_path / "cache", clock=lambda: now[0])
    old, used = (
        pack(square_grader(tmp_path / name, returns=returns))
        for name, returns in (("a", 1), ("b", 2))
    )
    for one in (old, used):
        cache.directory(one.digest, lambda one=one: one.content)
        cache.directory(one.digest, never)
    now[0] += UNUSED_S - 1
    cache.directory(used.digest, never)
    now[0] += 2
    assert cache.forget_unused() == 1
    assert entries(tmp_path) == [used.digest.removeprefix("sha256:")]
    cache.directory(old.digest, lambda: old.content)


def test_what_a_killed_process_left_half_made_goes_too(cache, tmp_path):
    half_made = tmp_path / "cache" / "bundles" / ".making-x" / "grader"
    half_made.mkdir(parents=True)
    os.utime(half_made.parent, (0, 0))
    assert cache.forget_unused() == 1
    assert entries(tmp_path) == []


def test_a_cache_that_is_not_there_has_nothing_to_forget(cache):
    assert cache.forget_unused() == 0


# Versions


@pytest.fixture
def grader(tmp_path):
    return published_grader(FakeApi().publish(square_grader(tmp_path / "author")))


@pytest.fixture
def versions(tmp_path):
    return VersionCache(tmp_path / "cache", server="http://campus")


def test_a_version_is_remembered_for_its_server_alone(tmp_path, versions, grader):
    versions.remember_version(grader)
    assert versions.known_version("python", "square", 1) == grader
    assert versions.known_version("python", "square", 2) is None
    other = VersionCache(tmp_path / "cache", server="http://other")
    assert other.known_version("python", "square", 1) is None


def test_a_version_is_written_when_it_is_new_and_not_in_every_round(tmp_path, versions, grader):
    versions.remember_version(grader)
    [file] = (tmp_path / "cache" / "versions").rglob("*.json")
    os.utime(file, (0, 0))
    versions.remember_version(grader)
    assert file.stat().st_mtime == 0
    changed = dataclasses.replace(
        grader, is_default=False, document={**grader.document, "default": False}
    )
    versions.remember_version(changed)
    assert versions.known_version("python", "square", 1) == changed


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"x"', "[" * 100_000, "\x00"])
def test_a_damaged_file_is_as_if_it_were_not_there(tmp_path, versions, grader, text):
    versions.remember_version(grader)
    [file] = (tmp_path / "cache" / "versions").rglob("*.json")
    file.write_text(text)
    assert versions.known_version("python", "square", 1) is None
    versions.remember_version(grader)
    assert versions.known_version("python", "square", 1) == grader


def test_a_disk_that_fails_costs_a_request_and_no_more(tmp_path, grader, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    versions = VersionCache(tmp_path / "file", server="http://campus")
    versions.remember_version(grader)
    assert versions.known_version("python", "square", 1) is None
    assert versions.forget_unused() == 0


def test_a_write_that_fails_leaves_no_file(tmp_path, versions, grader, monkeypatch):
    monkeypatch.setattr("json.dump", full)
    versions.remember_version(grader)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_old_versions_go(tmp_path, grader):
    versions = VersionCache(tmp_path / "cache", server="s", clock=lambda: 2**33)
    versions.remember_version(grader)
    assert versions.forget_unused() == 1
    assert versions.known_version("python", "square", 1) is None


# Where


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"GRADER_WORKER_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/h"}, "/a"),
        ({"GRADER_WORKER_CACHE": "", "XDG_CACHE_HOME": "/b", "HOME": "/h"}, "/b/xqueue"),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/xqueue"),
        ({"HOME": ""}, "/var/cache/xqueue"),
        ({"HOME": "/"}, "/var/cache/xqueue"),
        ({}, "/var/cache/xqueue"),
    ],
)
def test_the_cache_is_the_users_or_the_systems(environ, place):
    assert cache_dir(environ) == Path(place)
