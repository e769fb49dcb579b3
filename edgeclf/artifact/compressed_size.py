"""How large a model file is when it is compressed, as in a download or in the archive of an app."""

from __future__ import annotations

import gzip

GZIP_LEVEL = 9


def gzip_size(content: bytes) -> int:
    """Return the number of bytes of `content` after gzip."""
    return len(gzip.compress(content, GZIP_LEVEL, mtime=0))
