import os
import stat
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_intgen.inference.sampling.program_cache import (
    MAX_PROGRAMS,
    SUFFIX,
    VARIABLE,
    cache_folder,
    compiled,
)

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="no owners and modes of folders")


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "programs"
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def root(scale: float):
    """Program that needs LAPACK; its constant determines the result, not the shapes."""
    return jax.jit(lambda matrix: scale * jnp.linalg.cholesky(matrix)).lower(np.eye(3))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def test_a_program_is_loaded_from_its_file(programs) -> None:
    np.testing.assert_array_equal(compiled(root(2.0))(np.eye(3)), 2 * np.eye(3))
    (first,) = files(programs)
    compiled(root(3.0))
    (second,) = set(files(programs)) - {first}
    # The other program in its place shows that the file is read.
    first.write_bytes(second.read_bytes())
    np.testing.assert_array_equal(compiled(root(2.0))(np.eye(3)), 3 * np.eye(3))
    assert len(files(programs)) == 2


def test_programs_differ_in_arguments_that_they_do_not_use(programs) -> None:
    function = jax.jit(lambda used, unused: 2 * used)
    for size in (4, 5):
        arguments = np.ones(2), np.ones(size)
        result = compiled(function.lower(*arguments))(*arguments)
        np.testing.assert_array_equal(result, [2, 2])
    assert len(files(programs)) == 2


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_damaged_file_is_compiled_and_written_again(programs, content) -> None:
    compiled(root(2.0))
    (path,) = files(programs)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100] if content is None else content)
    np.testing.assert_array_equal(compiled(root(2.0))(np.eye(3)), 2 * np.eye(3))
    assert len(path.read_bytes()) == len(whole)


def test_settings_of_the_compiler_have_files_of_their_own(programs, monkeypatch) -> None:
    compiled(root(2.0))
    monkeypatch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} --xla_dump_to=nowhere")
    compiled(root(2.0))
    assert len(files(programs)) == 2


def test_the_folder_can_be_switched_off(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(VARIABLE, "off")
    assert cache_folder() is None
    np.testing.assert_array_equal(compiled(root(2.0))(np.eye(3)), 2 * np.eye(3))
    assert not list(tmp_path.iterdir())


@POSIX
def test_a_folder_that_others_can_write_to_is_not_used(programs) -> None:
    assert cache_folder() == programs
    assert stat.S_IMODE(programs.stat().st_mode) == 0o700
    compiled(root(2.0))
    programs.chmod(0o777)
    assert cache_folder() is None
    compiled(root(3.0))
    assert len(files(programs)) == 1


def test_a_folder_that_cannot_be_made_costs_no_fit(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    np.testing.assert_array_equal(compiled(root(2.0))(np.eye(3)), 2 * np.eye(3))


def test_the_least_recently_used_programs_are_deleted(programs) -> None:
    compiled(root(2.0))
    (used,) = files(programs)
    for i in range(MAX_PROGRAMS):
        path = programs / f"{i}{SUFFIX}"
        path.touch()
        os.utime(path, (i, i))
    os.utime(used, (0, 0))
    compiled(root(2.0))
    compiled(root(3.0))
    assert len(files(programs)) == MAX_PROGRAMS
    assert used in files(programs)
    assert not (programs / f"0{SUFFIX}").exists()
