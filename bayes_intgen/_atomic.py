"""Atomic writing of files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file under a temporary name and rename it to ``path`` once it is complete.

    If writing fails, an existing file stays unchanged and the temporary file is removed. A process
    that is killed leaves its temporary file beside ``path``, hidden, ending in ``.part``.

    Examples
    --------
    >>> with atomic_write(folder / "note.txt") as partial:
    ...     _ = partial.write_text("whole")
    >>> (folder / "note.txt").read_text()
    'whole'
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{uuid4().hex}.part")
    # Created like any new file, with the permissions that the umask of the process allows.
    partial.touch(exist_ok=False)
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
