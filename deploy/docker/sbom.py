"""Reads an image's files as a tar archive from stdin, writes an SPDX 2.3 document to stdout.

    docker export CONTAINER | python3 sbom.py IMAGE IMAGE_ID

What the image itself lists is believed: dpkg's status, and the metadata beside each Python
distribution. Files that came without either are in no list.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import HeaderParser
from typing import Any, BinaryIO
from urllib.parse import quote

DPKG_STATUS = "var/lib/dpkg/status"
OS_RELEASE = "usr/lib/os-release"
DISTRIBUTION = re.compile(r"(.*/)?[^/]+\.(dist-info/METADATA|egg-info/PKG-INFO|egg-info)")
NO_WORD = "NOASSERTION"
Package = dict[str, Any]


@dataclass(kw_only=True)
class Listed:
    """What was found in an image."""

    debian: list[dict[str, str]] = field(default_factory=list)
    python: list[dict[str, str]] = field(default_factory=list)
    release: dict[str, str] = field(default_factory=dict)


def read_image(stream: BinaryIO) -> Listed:
    """Of a tar archive, read once from its beginning to its end."""
    found = Listed()
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if not member.isfile():
                continue
            if name == DPKG_STATUS:
                found.debian = installed(_text(archive, member))
            elif name == OS_RELEASE:
                found.release = dict(_settings(_text(archive, member)))
            elif DISTRIBUTION.fullmatch(name):
                headers = _headers(_text(archive, member))
                if headers.keys() >= {"Name", "Version"}:
                    found.python.append(headers)
    return found


def installed(status: str) -> list[dict[str, str]]:
    """The packages that dpkg calls installed, not those that only left their settings behind."""
    packages = [_headers(part) for part in status.split("\n\n") if part.strip()]
    return [each for each in packages if each.get("Status", "").endswith(" installed")]


def document(found: Listed, *, image: str, image_id: str, now: datetime) -> dict[str, Any]:
    """Raises: ValueError, if nothing is listed in the image: that is no bill of anything."""
    packages = sorted(
        [*(_debian(p, found.release) for p in found.debian), *map(_python, found.python)],
        key=lambda package: str(package["SPDXID"]),
    )
    unique = {str(package["SPDXID"]): package for package in packages}
    if not unique:
        raise ValueError("it lists neither Debian packages nor Python distributions")
    root = _package("Image", image, image_id, "CONTAINER")
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": image,
        "documentNamespace": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, image_id)}",
        "creationInfo": {
            "created": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: xqueue-grader sbom.sh"],
        },
        "packages": [root, *unique.values()],
        "relationships": [
            _relation("SPDXRef-DOCUMENT", "DESCRIBES", root["SPDXID"]),
            *(_relation(root["SPDXID"], "CONTAINS", each) for each in unique),
        ],
    }


def _debian(headers: dict[str, str], release: dict[str, str]) -> Package:
    name, version = headers["Package"], headers["Version"]
    distribution = release.get("ID", "debian")
    of = f"?arch={headers.get('Architecture', 'all')}"
    of += f"&distro={distribution}-{release['VERSION_ID']}" if "VERSION_ID" in release else ""
    made = _package("deb", f"{name}-{headers.get('Architecture', 'all')}", version, "LIBRARY")
    source = headers.get("Source", name)
    return made | {
        "name": name,
        "sourceInfo": f"built from the source package {source}",
        "externalRefs": [_purl(f"deb/{distribution}/{quote(name)}@{quote(version)}{of}")],
    }


def _python(headers: dict[str, str]) -> Package:
    name, version = headers["Name"], headers["Version"]
    made = _package("pypi", name, version, "LIBRARY")
    normal = re.sub(r"[-_.]+", "-", name).lower()
    return made | {
        "licenseDeclared": headers.get("License-Expression", NO_WORD),
        "externalRefs": [_purl(f"pypi/{quote(normal)}@{quote(version)}")],
    }


def _package(kind: str, name: str, version: str, purpose: str) -> Package:
    plain = re.sub(r"[^A-Za-z0-9.-]", "-", f"{kind}-{name}-{version}")
    return {
        "SPDXID": f"SPDXRef-{plain}",
        "name": name,
        "versionInfo": version,
        "primaryPackagePurpose": purpose,
        "downloadLocation": NO_WORD,
        "filesAnalyzed": False,
        "licenseConcluded": NO_WORD,
        "licenseDeclared": NO_WORD,
        "copyrightText": NO_WORD,
    }


def _purl(locator: str) -> dict[str, str]:
    return {
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": f"pkg:{locator}",
    }


def _relation(one: object, kind: str, other: object) -> dict[str, object]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def _headers(text: str) -> dict[str, str]:
    return {name: str(value) for name, value in HeaderParser().parsestr(text.lstrip()).items()}


def _settings(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            yield name, value.strip("\"'")


def _text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    source = archive.extractfile(member)
    assert source is not None
    return source.read().decode("utf-8", "replace")


def main() -> None:
    image, image_id = sys.argv[1:]
    try:
        found = read_image(sys.stdin.buffer)
        made = document(found, image=image, image_id=image_id, now=datetime.now(UTC))
    except (ValueError, tarfile.TarError) as error:
        raise SystemExit(f"{image}: {error}") from error
    json.dump(made, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
