"""How large a model file is once compressed, as over a network or in a firmware image."""

from __future__ import annotations

import gzip


def gzip_size(content: bytes) -> int:
    """Bytes of `content` as gzip, level 9, without a time stamp."""
    return len(gzip.compress(content, compresslevel=9, mtime=0))
