"""Serving uploaded files to whoever holds a signed address."""

from __future__ import annotations

import logging

from flask import Flask, Response
from werkzeug.wsgi import FileWrapper

from xqueue_server.errors import FilesUnavailable, NotFound
from xqueue_server.files.addresses import PATH
from xqueue_server.web.envelope import page
from xqueue_server.web.services import Services

log = logging.getLogger(__name__)

HEADERS = {
    # A learner's file is never shown by a browser as a page of this host.
    "Content-Disposition": "attachment",
    "Content-Type": "application/octet-stream",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
}


def add_downloads(app: Flask, services: Services) -> None:
    def download(blob: str, expires: int, signature: str) -> Response:
        try:
            services.addresses.check(blob, expires, signature)
            source = services.files.open(blob)
        except NotFound as error:
            return page(str(error), 404)
        except FilesUnavailable as error:
            log.error("file not served", extra={"action": "download", "why": error.strerror})
            return page("The file can not be fetched now, try again later", 503)
        response = Response(
            FileWrapper(source, 64 * 1024), headers=HEADERS, direct_passthrough=True
        )
        response.content_length = source.seek(0, 2)
        source.seek(0)
        response.call_on_close(source.close)
        return response

    app.add_url_rule(
        f"{PATH}/<blob>/<int:expires>/<signature>", "download", download, methods=["GET"]
    )
