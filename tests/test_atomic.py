import errno
import os
import resource
import signal
import socket
import stat
import subprocess
import sys

import pytest

from bayes_intgen import _atomic
from bayes_intgen._atomic import atomic_write, with_checksum, without_checksum


def names(folder) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_full_disk_raises_and_leaves_only_the_old_file(tmp_path) -> None:
    """A limit on the size of files stands in for the disk; analyses/ mounts small disks."""
    path = tmp_path / "note.txt"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        for size in (10_001, 1_000_000):
            with pytest.raises(OSError, match="large.*note.txt") as error:
                atomic_write(path, b"x" * size)
            assert error.value.errno == errno.EFBIG
            assert path.read_bytes() == b"old"
            assert names(tmp_path) == ["note.txt"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    atomic_write(path, b"x" * 1_000_000)


def test_new_file_has_default_permissions(tmp_path) -> None:
    plain, whole = tmp_path / "plain.txt", tmp_path / "whole.txt"
    mask = os.umask(0o027)
    try:
        plain.write_text("")
        atomic_write(whole, b"")
        # The umask of the process is unchanged.
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)
    assert stat.S_IMODE(whole.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_existing_file_keeps_its_mode(tmp_path, mode) -> None:
    path = tmp_path / "note.txt"
    path.write_text("old")
    path.chmod(mode)
    atomic_write(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser gives files away")
def test_existing_file_keeps_its_owner(tmp_path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("old")
    os.chown(path, 1234, 1235)
    atomic_write(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)


def test_symbolic_links_are_followed(tmp_path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "first").symlink_to("second")
    (tmp_path / "second").symlink_to("large/note.txt")
    # The second time the file exists.
    for content in (b"old", b"new"):
        atomic_write(tmp_path / "first", content)
        assert (tmp_path / "large" / "note.txt").read_bytes() == content
    assert (tmp_path / "first").is_symlink()
    assert names(tmp_path) == ["first", "large", "second"]
    assert names(tmp_path / "large") == ["note.txt"]


def test_longest_names_work(tmp_path) -> None:
    atomic_write(tmp_path / ("n" * 255), b"whole")
    assert names(tmp_path) == ["n" * 255]


def test_anything_but_a_writable_file_is_refused(tmp_path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "read-only").write_text("old")
    (tmp_path / "read-only").chmod(0o444)
    (tmp_path / "device").symlink_to("/dev/null")
    reader, writer = os.pipe()
    no_files = ["pipe", "socket", "device", f"/dev/fd/{writer}"]
    irregular = dict.fromkeys(no_files, "not a regular file")
    others = {"folder": "is a folder", "loop": "symbolic links", "read-only": "is read-only"}
    missing = {"missing/note.txt": "no such folder"}
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        before = names(tmp_path)
        for name, message in (irregular | others | missing).items():
            with pytest.raises(OSError, match=message):
                atomic_write(tmp_path / name, b"new")
        assert names(tmp_path) == before
    os.close(reader)
    os.close(writer)


# A process that is killed before it has written everything, or waits for a line before that.
WRITING = """
import os, sys
from bayes_intgen import _atomic
def fsync(_):
    print("writing", flush=True)
    sys.stdin.readline()
os.fsync = fsync
_atomic.atomic_write(sys.argv[1], b"from another process")
"""


def test_temporary_files_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path) -> None:
    command = [sys.executable, "-c", WRITING, str(tmp_path / "note.txt")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as dead, subprocess.Popen(command, **pipes) as living:
        for process in (dead, living):
            assert process.stdout.readline() == b"writing\n"
        dead.kill()
        dead.wait()
        assert len(names(tmp_path)) == 2
        # To another file of the folder.
        atomic_write(tmp_path / "other.txt", b"")
        assert len(names(tmp_path)) == 2
        living.communicate(b"go\n")
        assert living.returncode == 0
    assert names(tmp_path) == ["note.txt", "other.txt"]
    assert (tmp_path / "note.txt").read_bytes() == b"from another process"


def test_file_removed_before_it_was_locked_is_created_again(tmp_path, monkeypatch) -> None:
    """As by another process, which takes it for that of a dead one."""
    lock, removed = _atomic.fcntl.flock, []

    def late(file, how: int) -> None:
        if not removed and not how & _atomic.fcntl.LOCK_NB:
            removed.append(file.name)
            os.unlink(file.name)
        lock(file, how)

    monkeypatch.setattr(_atomic.fcntl, "flock", late)
    atomic_write(tmp_path / "note.txt", b"whole")
    assert len(removed) == 1
    assert (tmp_path / "note.txt").read_bytes() == b"whole"
    assert names(tmp_path) == ["note.txt"]


def test_checksum_covers_every_byte() -> None:
    stored = with_checksum(b"some content")
    assert without_checksum(stored) == b"some content"
    for i in range(len(stored)):
        changed = bytes([stored[i] ^ 1])
        assert without_checksum(stored[:i] + changed + stored[i + 1 :]) is None
        assert without_checksum(stored[:i]) is None
    assert without_checksum(stored + b"\n") is None
