"""Which names of folders may be those of data.

Thumbnails, recycle bins and snapshots lie in folders that a system or a program made. There are many of them
(`@eaDir`, `.thumbnails`, `#recycle`, `$RECYCLE.BIN`, `~snapshot`, `__MACOSX`, `__pycache__`), and new ones appear; what
they have in common is a name that does not begin as a word does. So names are allowed by how they begin.
"""

from __future__ import annotations

import re
import unicodedata

# Made by file systems, in words.
_SYSTEM_FOLDERS = {"lost+found", "system volume information"}
_BYTE = re.compile("%[0-9A-F]{2}")
_BEGINNING = {"L", "N", "M", "So", "Sm", "Sc", "Ps", "Pi", "Pd"}


def is_data_folder(name: str) -> bool:
    """Return whether the folder `name` may hold data.

    It does where its name begins with a letter, a digit, an emoji or a sign, an opening bracket or quote, or a dash,
    before which one underscore may stand, or with a byte as URLs write it (`%2F`); two names that file systems give are
    excepted.
    """
    if _BYTE.match(name):
        return True
    text = name[1:] if name.startswith("_") and len(name) > 1 else name
    kind = unicodedata.category(text[0]) if text else "Cn"
    allowed = (kind in _BEGINNING or kind[0] in _BEGINNING or kind == "Cs") and text[0] not in "$~"
    return allowed and name.casefold() not in _SYSTEM_FOLDERS
