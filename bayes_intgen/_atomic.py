"""Atomic writing of files, and checksums at their ends, verified before the content is read."""

import contextlib
import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

try:
    import fcntl
except ImportError:  # Windows, where open files can be neither renamed nor removed
    fcntl = None  # type: ignore[assignment]

# Names of temporary files, short so that they fit wherever the name of the target does.
_PREFIX, _SUFFIX = ".bayes-intgen-", ".part"
# No other part of the package's files contains these bytes, unless it announces a checksum.
MARK = b"bayes-intgen sha256"


def atomic_write(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file under a temporary name and rename it to ``path`` once it is complete.

    If writing fails, an existing file stays unchanged and the temporary file is removed. A process
    that is killed may leave its temporary file beside the target; the next write to that folder
    removes it. Symbolic links are followed. An existing file keeps its mode, and its owner if
    the process may set it.

    Raises
    ------
    OSError
        If the disk is full, or as :func:`writable_target`.

    Examples
    --------
    >>> atomic_write(folder / "note.txt", b"whole")
    >>> (folder / "note.txt").read_text()
    'whole'
    """
    target = writable_target(path)
    _remove_orphans(target.parent)
    file = _new_file(target.parent)
    partial = Path(file.name)
    try:
        with file:
            # Before the content, which others may not be allowed to read.
            if target.exists():
                _copy_access(target, partial)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()
            partial.replace(target)
    except OSError as error:
        # A full disk does not say which.
        error.filename = error.filename or str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def writable_target(path: str | os.PathLike[str]) -> Path:
    """Find the file that a write to ``path`` replaces, behind any symbolic links.

    Raises
    ------
    OSError
        If ``path`` is a folder, device, pipe or read-only file, or its folder does not exist.

    Examples
    --------
    >>> writable_target("/dev/null")
    Traceback (most recent call last):
    OSError: [Errno 22] is not a regular file; write to another path: '/dev/null'
    """
    try:
        mode = os.stat(Path(path)).st_mode
    except FileNotFoundError:
        target = Path(os.path.realpath(path))
        if not target.parent.is_dir():
            raise FileNotFoundError(
                errno.ENOENT, "there is no such folder", str(target.parent)
            ) from None
        return target
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder; name a file to write", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is not a regular file; write to another path", str(path))
    # The superuser may write to every file, but not without being told.
    if not (mode & 0o222 and os.access(path, os.W_OK)):
        raise PermissionError(
            errno.EACCES, "is read-only; write to another path, or make it writable", str(path)
        )
    return Path(os.path.realpath(path))


def _new_file(folder: Path) -> BinaryIO:
    """Create a temporary file, with the permissions of any new file, and lock it."""
    while True:
        file = (folder / f"{_PREFIX}{uuid4().hex}{_SUFFIX}").open("xb")
        if fcntl is not None:
            # Not every file system has locks; without them orphans stay.
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        if os.path.exists(file.name):
            return file
        # Another process removed it before it was locked.
        file.close()


def _remove_orphans(folder: Path) -> None:
    """Remove the temporary files of dead processes; living ones hold a lock on theirs."""
    with contextlib.suppress(OSError):
        for orphan in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            with contextlib.suppress(OSError), orphan.open("rb+") as file:
                if fcntl is None:
                    file.close()
                else:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                orphan.unlink(missing_ok=True)


def _copy_access(source: Path, target: Path) -> None:
    """Copy mode and, where allowed, owner of a file."""
    status = source.stat()
    if hasattr(os, "chown"):
        with contextlib.suppress(PermissionError):
            os.chown(target, status.st_uid, status.st_gid)
    target.chmod(stat.S_IMODE(status.st_mode))


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
