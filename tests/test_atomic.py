import os
import stat

import pytest

from bayes_intgen._atomic import atomic_write


def test_old_file_stays_until_the_new_one_is_complete(tmp_path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("old")
    with atomic_write(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]


def test_failure_leaves_the_old_file_only(tmp_path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path) as partial:
            partial.write_text("half of the ne")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]


def test_new_file_has_default_permissions(tmp_path) -> None:
    plain, whole = tmp_path / "plain.txt", tmp_path / "whole.txt"
    mask = os.umask(0o027)
    try:
        plain.write_text("")
        with atomic_write(whole) as partial:
            partial.write_text("")
        # The umask of the process is unchanged.
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)
    assert stat.S_IMODE(whole.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode) == 0o640
