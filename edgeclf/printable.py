"""The one place through which everything passes that is shown: what may change a terminal or a page becomes visible.

Names of files, labels, and the texts inside of a model come from strangers. Allowed are the characters that Unicode
calls printable (letters, marks, numbers, punctuation, symbols, the plain space), the other blanks, and the two joiners
of letters without which names in some scripts cannot be written. Everything else is written as the escape that Python
uses for it: an escape character is `\\x1b`, a right-to-left override `\\u202e`, and a byte of a file name that is not
UTF-8 `\\xff`. A backslash stays as it is, so that a text which is printable stays the same.
"""

from __future__ import annotations

import re

_BLANKS = "\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""The Unicode category Zs; line and paragraph separators are not among them."""
_JOINERS = "\u200c\u200d"
_ALLOWED = frozenset(_BLANKS + _JOINERS)
_SPACES = re.compile(r"\s+")
_SURROGATE_BYTES = range(0xDC80, 0xDD00)
"""How Python keeps the bytes of a file name that are not UTF-8 (PEP 383)."""


def printable(text: str, keep: str = "") -> str:
    """Write `text` with an escape for each character that Unicode does not call printable.

    Args:
        text: from anywhere.
        keep: characters to leave as they are, such as the line break of a text of several lines.
    """
    if text.isprintable():
        return text
    return "".join(c if is_printable(c) or c in keep else escape(c) for c in text)


def is_printable(character: str) -> bool:
    """Return whether one character is shown as it is."""
    return character.isprintable() or character in _ALLOWED


def one_line(text: str) -> str:
    """Write `text` as one printable line: each run of white space becomes a space."""
    if text.isprintable() and "  " not in text:
        return text.strip()
    return printable(_SPACES.sub(" ", text).strip())


def escape(character: str) -> str:
    """Write the escape of one character."""
    code = ord(character)
    if code in _SURROGATE_BYTES:
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
