"""gunicorn's own messages in our log format; our access line replaces its own."""

from __future__ import annotations

import logging
from typing import Any

from gunicorn.glogging import Logger


class GunicornLog(Logger):
    def setup(self, cfg: Any) -> None:
        """Leave handlers and levels to `xqueue_server.monitoring.logs`."""
        self.error_log = logging.getLogger("gunicorn.error")
        self.access_log = logging.getLogger("gunicorn.access")
        self.error_log.propagate = True  # gunicorn has just turned it off

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """`web.routes` has written the line already."""

    def reopen_files(self) -> None:
        """There are none: logs go to stderr."""
