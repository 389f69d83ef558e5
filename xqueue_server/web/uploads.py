"""Files that come with a submission, stored before it.

If the submission is not taken in the end, its files are orphans that nobody can address. They are
not removed here: when the database went away at the commit, the submission may well be there.
"""

from __future__ import annotations

import logging

from werkzeug.datastructures import FileStorage

from xqueue_server.errors import InvalidRequest, StorageUnavailable
from xqueue_server.files import Files
from xqueue_server.models.submission import FileReference

log = logging.getLogger(__name__)


def save_all(
    store: Files, files: dict[str, FileStorage], *, limit_bytes: int
) -> tuple[FileReference, ...]:
    """Keep every file, or none.

    Raises:
        InvalidRequest: a file is larger than `limit_bytes`.
        StorageUnavailable: the disk is full or not writable.
    """
    saved: list[FileReference] = []
    try:
        for name, upload in files.items():
            blob, size = store.save(upload.stream, limit_bytes=limit_bytes)
            saved.append(FileReference(name=name, blob=blob, size_bytes=size))
    except (InvalidRequest, OSError) as error:
        for reference in saved:
            store.remove(reference.blob)
        if isinstance(error, InvalidRequest):
            raise
        log.error("files not stored", extra={"action": "save_files", "why": error.strerror})
        raise StorageUnavailable("files can not be stored") from error
    return tuple(saved)
