"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file to write that takes the place of ``path`` once it is written.

    An older file stays whole until then, and where writing fails or the process ends; what a
    process that was killed had written stays beside it, hidden, ending in ``.component``.

    Examples
    --------
    >>> with atomic_write(folder / "note.txt") as partial:
    ...     _ = partial.write_text("whole")
    >>> (folder / "note.txt").read_text()
    'whole'
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{uuid4().hex}.part")
    # Made as any new file is: with the rights that the process gives them.
    partial.touch(exist_ok=False)
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
