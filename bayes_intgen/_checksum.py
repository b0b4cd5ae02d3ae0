"""Checksums at the end of files, verified before anything else reads the content."""

import hashlib

# No other part of the package's files contains these bytes, unless it announces a checksum.
MARK = b"bayes-intgen sha256"


def with_checksum(content: bytes) -> bytes:
    """Append a line with the SHA-256 of the content.

    Examples
    --------
    >>> without_checksum(with_checksum(b"content"))
    b'content'
    """
    return content + _line(content)


def without_checksum(stored: bytes) -> bytes | None:
    """Verify and remove the last line of :func:`with_checksum`; None if it is wrong or missing.

    Examples
    --------
    >>> without_checksum(with_checksum(b"content").replace(b"t", b"T")) is None
    True
    """
    end = len(stored) - len(_line(b""))
    content = stored[: max(end, 0)]
    return content if stored[len(content) :] == _line(content) else None


def _line(content: bytes) -> bytes:
    return b"\n%s %s\n" % (MARK, hashlib.sha256(content).hexdigest().encode())
