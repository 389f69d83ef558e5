"""What an LMS needs to find a worker bundle: the files that its own build would have written, and
the address as pages of exams that live here get it.

An LMS that keeps exams asks its backend's class instead (`get_javascript`), for both forms in which
its own pages get the address: a field of its REST answers, and a variable of its templates.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from proctoring_hooks.worker.bundles import OUR_PACKAGE, Bundles

NODE_MODULES = "/openedx/edx-platform/node_modules"
"""Where an LMS's image has its npm packages, as Tutor builds it."""


def webpack_stats(
    bundles: Bundles, base_url: str, *, hashed: bool = True, ours_also: str = ""
) -> dict[str, Any]:
    """What webpack-bundle-tracker writes and django-webpack-loader reads.

    Not `hashed`: with addresses that stay when a bundle changes, for an LMS that has a copy of this
    which nobody renews. `ours_also`: another name for our own worker; a backend class without an
    `npm_module` asks for its Python package, so edx-proctoring's own class for "edx_proctoring".
    """
    files = {bundle.package: bundle.file if hashed else f"{bundle.stem}.js" for bundle in bundles}
    named = dict(files)
    if ours_also and OUR_PACKAGE in files:
        named[ours_also] = files[OUR_PACKAGE]
    return {
        "status": "done",
        "chunks": {package: [file] for package, file in named.items()},
        "assets": {
            file: {"name": file, "publicPath": f"{base_url}/{file}"} for file in files.values()
        },
    }


def workers_json(node_modules: str = NODE_MODULES) -> dict[str, list[str]]:
    """Entry points for an LMS whose own webpack builds our worker from the npm package, as
    edx-proctoring's `make_worker_config` writes them."""
    return {OUR_PACKAGE: ["babel-polyfill", f"{node_modules}/{OUR_PACKAGE}/worker.js"]}


def desktop_application_js_url(
    bundles: Bundles, package: str, base_url: str, *, elsewhere: str = ""
) -> str | None:
    """Absolute address of a package's bundle; None if there is none, so that pages go without.

    `elsewhere`: where the bundle is if another server has it. The bare root of a site is no bundle,
    though an LMS whose build has none gives just that.
    """
    bundle = bundles.of_package(package)
    if bundle is not None:
        return f"{base_url}/{bundle.file}"
    return elsewhere if is_bundle_address(elsewhere) else None


def is_bundle_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    has_file = not parts.path.endswith("/") and parts.path != ""
    return parts.scheme in ("http", "https") and bool(parts.hostname) and has_file


def rest_field(url: str | None) -> dict[str, str]:
    """Of an attempt in REST answers; nothing where there is no bundle."""
    return {"desktop_application_js_url": url} if url else {}
