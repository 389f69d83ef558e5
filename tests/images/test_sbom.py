"""`sbom.sh`: what is in an image, as SPDX 2.3, without running anything of it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import pytest

from deploy.docker import sbom

SCRIPT = Path(sbom.__file__).with_name("sbom.sh")
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
STATUS = """\
Package: bash
Status: install ok installed
Architecture: amd64
Source: bash (5.2.15-2)
Version: 5.2.15-2+b13
Description: shell
 of more lines
 .
 than one

Package: left-over
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9
"""
METADATA = """\
Metadata-Version: 2.4
Name: Zope.Interface_x
Version: 1.0
License-Expression: MIT

Version: 9 is only in the description
"""
FILES = {
    "./var/lib/dpkg/status": STATUS,
    "usr/lib/os-release": 'ID=debian\nVERSION_ID="12"\n',
    "opt/lib/zope-1.0.dist-info/METADATA": METADATA,
    "opt/lib/broken-1.0.dist-info/METADATA": "no headers",
    "home/METADATA": METADATA,
}


def archive_of(files: dict[str, str]) -> io.BytesIO:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    target.seek(0)
    return target


def made_of(files: dict[str, str]) -> dict[str, Any]:
    found = sbom.read_image(archive_of(files))
    return sbom.document(found, image="x/y:local", image_id="sha256:00", now=NOW)


def assert_is_spdx(document: dict[str, Any]) -> None:
    """What the specification requires of a document, its packages and relationships."""
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["dataLicense"] == "CC0-1.0"
    assert document["SPDXID"] == "SPDXRef-DOCUMENT"
    assert document["name"]
    assert re.fullmatch(r"[a-z]+:[^#\s]+", document["documentNamespace"])
    created = document["creationInfo"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created["created"])
    assert all(re.match(r"(Tool|Person|Organization): \S", each) for each in created["creators"])
    ids = ["SPDXRef-DOCUMENT"]
    for package in document["packages"]:
        assert re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", package["SPDXID"])
        assert package["name"]
        assert package["downloadLocation"]
        assert package["filesAnalyzed"] is False  # else a verification code would be required
        for reference in package.get("externalRefs", ()):
            assert reference["referenceCategory"] == "PACKAGE-MANAGER"
            assert reference["referenceType"] == "purl"
            assert re.fullmatch(r"pkg:[a-z]+/\S+@\S+", reference["referenceLocator"])
        ids.append(package["SPDXID"])
    assert len(set(ids)) == len(ids)
    kinds = [each["relationshipType"] for each in document["relationships"]]
    assert kinds.count("DESCRIBES") == 1
    for each in document["relationships"]:
        assert each["spdxElementId"] in ids
        assert each["relatedSpdxElement"] in ids
    related = {each["relatedSpdxElement"] for each in document["relationships"]}
    assert related == set(ids[1:])


def test_what_dpkg_and_python_list_is_in_the_document() -> None:
    document = made_of(FILES)
    assert_is_spdx(document)
    image, *packages = document["packages"]
    assert (image["name"], image["versionInfo"]) == ("x/y:local", "sha256:00")
    assert [(p["name"], p["versionInfo"]) for p in packages] == [
        ("bash", "5.2.15-2+b13"),
        ("libc6", "2.36-9"),
        ("Zope.Interface_x", "1.0"),
    ]
    assert [p["externalRefs"][0]["referenceLocator"] for p in packages] == [
        "pkg:deb/debian/bash@5.2.15-2%2Bb13?arch=amd64&distro=debian-12",
        "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12",
        "pkg:pypi/zope-interface-x@1.0",
    ]
    assert packages[0]["sourceInfo"] == "built from the source package bash (5.2.15-2)"
    assert packages[2]["licenseDeclared"] == "MIT"
    assert document["creationInfo"]["created"] == "2026-01-02T03:04:05Z"


def test_one_image_always_has_the_same_name() -> None:
    one, again = made_of(FILES), made_of(FILES)
    assert one == again
    found = sbom.read_image(archive_of(FILES))
    other = sbom.document(found, image="x/y:local", image_id="sha256:01", now=NOW)
    assert other["documentNamespace"] != one["documentNamespace"]


def test_an_image_that_lists_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="lists neither Debian packages nor Python"):
        made_of({"bin/sh": "x"})


def test_our_own_image_is_listed_without_being_run(
    engine: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUT", str(tmp_path))
    subprocess.run([SCRIPT, "xqueue/grader-base:local"], check=True, capture_output=True)
    (written,) = tmp_path.iterdir()
    assert written.name == "xqueue-grader-base-local.spdx.json"
    document = json.loads(written.read_text())
    assert_is_spdx(document)
    names = {package["name"] for package in document["packages"]}
    assert {"xqueue/grader-base:local", "dpkg", "libc6", "bash"} <= names
    image_id = engine.images.get("xqueue/grader-base:local").id
    assert document["packages"][0]["versionInfo"] == image_id
    created = {"ancestor": image_id, "status": "created"}  # others come and go meanwhile
    left = engine.containers.list(all=True, filters=created, ignore_removed=True)
    assert [c for c in left if c.attrs["Path"] == "/none"] == []


def test_an_image_that_is_not_there_is_named(
    engine: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUT", str(tmp_path))
    refused = subprocess.run(
        [SCRIPT, "xqueue/none:local"], check=False, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("there is no image xqueue/none:local on this host")
    assert list(tmp_path.iterdir()) == []
