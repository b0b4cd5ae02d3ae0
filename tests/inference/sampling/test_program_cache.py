import concurrent.futures
import os
import stat
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from bayes_intgen.inference.sampling import program_cache, program_names
from bayes_intgen.inference.sampling.program_cache import (
    MAX_PROGRAMS,
    SUFFIX,
    VARIABLE,
    cache_folder,
    compiled,
    load_ahead,
)

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="no owners and modes of folders")


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "programs"
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def root(scale: float):
    """Function that needs LAPACK; its constant determines the result, not the shapes."""
    return lambda matrix: [scale * jnp.linalg.cholesky(matrix)]


def compiled_root(scale: float, name: str | None = None):
    """Result of such a function for a matrix, once it is compiled or loaded."""
    program = compiled(root(scale), [np.eye(3)], name, on_cpu=True)
    return lambda matrix: program([matrix])[0]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def test_a_program_is_loaded_from_its_file(programs) -> None:
    np.testing.assert_array_equal(compiled_root(2.0)(np.eye(3)), 2 * np.eye(3))
    (first,) = files(programs)
    compiled_root(3.0)
    (second,) = set(files(programs)) - {first}
    # The other program in its place shows that the file is read.
    first.write_bytes(second.read_bytes())
    np.testing.assert_array_equal(compiled_root(2.0)(np.eye(3)), 3 * np.eye(3))
    assert len(files(programs)) == 2


@pytest.mark.parametrize("name", [None, "first"])
def test_programs_differ_in_arguments_that_they_do_not_use(programs, name) -> None:
    for size in (4, 5):
        arguments = np.ones(2), np.ones(size)
        program = compiled(lambda used, unused: [2 * used], arguments, name, on_cpu=True)
        np.testing.assert_array_equal(program(arguments)[0], [2, 2])
    assert len(files(programs)) == 2


def test_a_function_with_a_name_is_not_traced(programs) -> None:
    np.testing.assert_array_equal(compiled_root(2.0, "doubled")(np.eye(3)), 2 * np.eye(3))
    # The name stands for the function, here falsely.
    np.testing.assert_array_equal(compiled_root(3.0, "doubled")(np.eye(3)), 2 * np.eye(3))
    np.testing.assert_array_equal(compiled_root(3.0, "tripled")(np.eye(3)), 3 * np.eye(3))
    np.testing.assert_array_equal(compiled_root(3.0)(np.eye(3)), 3 * np.eye(3))
    assert len(files(programs)) == 3


def test_names_depend_on_the_source_of_the_package(programs, monkeypatch) -> None:
    compiled_root(2.0, "doubled")
    monkeypatch.setattr(program_names, "_digest_of_package", lambda: "another version")
    np.testing.assert_array_equal(compiled_root(3.0, "doubled")(np.eye(3)), 3 * np.eye(3))


def test_a_loaded_program_finds_lapack_without_jax(programs) -> None:
    code = (
        "import sys, numpy as np\n"
        "from bayes_intgen._lazy import jax, jnp\n"
        "from bayes_intgen.inference.sampling.program_cache import compiled\n"
        "root = lambda matrix: [jnp.linalg.cholesky(matrix)]\n"
        "program = compiled(root, [np.eye(3)], 'root', on_cpu=True)\n"
        "print(program([4 * np.eye(3)])[0].trace(), 'jax' in sys.modules)\n"
        # JAX registers the same functions.
        "print(jax.jit(jnp.linalg.cholesky)(4 * np.eye(3)).trace())\n"
        "print(program([4 * np.eye(3)])[0].trace())\n"
    )
    for imported in ("True", "False"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.split() == ["6.0", imported, "6.0", "6.0"], done.stderr
        assert (done.returncode, done.stderr) == (0, "")


def test_programs_take_and_return_arrays_of_any_type(programs) -> None:
    arguments = (
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(3, dtype=np.uint32),
        np.array(2**40),
        np.array([True, False]),
        np.ones((0, 2), np.float32),
    )

    def doubled(*arrays):
        return [array if array.dtype == bool else 2 * array for array in arrays]

    written, loaded = (compiled(doubled, arguments, "doubled", on_cpu=True) for _ in range(2))
    assert type(written) is not type(loaded)
    for one, other, argument in zip(written(arguments), loaded(arguments), arguments, strict=True):
        assert one.dtype == other.dtype == argument.dtype
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, argument if argument.dtype == bool else 2 * argument)


def new_process(monkeypatch) -> None:
    """Forget which programs this process has loaded."""
    for memory in ("_AHEAD", "_FIRST"):
        monkeypatch.setattr(program_cache, memory, {})


def test_the_first_program_of_the_last_process_is_loaded_ahead(programs, monkeypatch) -> None:
    new_process(monkeypatch)
    for factor, name in ((2.0, "doubled"), (3.0, "tripled")):
        compiled_root(factor, name)
    new_process(monkeypatch)
    load_ahead()
    concurrent.futures.wait(program_cache._AHEAD.values())
    for path in files(programs):
        path.unlink()
    # The name stands for the first function, which is in memory.
    np.testing.assert_array_equal(compiled_root(5.0, "doubled")(np.eye(3)), 2 * np.eye(3))
    np.testing.assert_array_equal(compiled_root(5.0, "tripled")(np.eye(3)), 5 * np.eye(3))


@pytest.mark.parametrize("fault", ["another version", "no file", "damaged file"])
def test_a_program_that_cannot_be_loaded_ahead_is_compiled(programs, monkeypatch, fault) -> None:
    new_process(monkeypatch)
    compiled_root(2.0, "doubled")
    new_process(monkeypatch)
    if fault == "another version":
        monkeypatch.setattr(program_names, "_digest_of_package", lambda: "another version")
    elif fault == "no file":
        (programs / program_cache.FIRST).unlink()
        files(programs)[0].unlink()
    else:
        (programs / program_cache.FIRST).write_bytes(b"\xff/../nonsense")
        files(programs)[0].write_bytes(b"nonsense")
    load_ahead()
    np.testing.assert_array_equal(compiled_root(3.0, "doubled")(np.eye(3)), 3 * np.eye(3))


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_damaged_file_is_compiled_and_written_again(programs, content) -> None:
    compiled_root(2.0)
    (path,) = files(programs)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100] if content is None else content)
    np.testing.assert_array_equal(compiled_root(2.0)(np.eye(3)), 2 * np.eye(3))
    assert len(path.read_bytes()) == len(whole)


def test_settings_of_the_compiler_have_files_of_their_own(programs, monkeypatch) -> None:
    compiled_root(2.0)
    monkeypatch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} --xla_dump_to=nowhere")
    compiled_root(2.0)
    assert len(files(programs)) == 2


def test_the_folder_can_be_switched_off(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(VARIABLE, "off")
    assert cache_folder() is None
    np.testing.assert_array_equal(compiled_root(2.0)(np.eye(3)), 2 * np.eye(3))
    assert not list(tmp_path.iterdir())


@POSIX
def test_a_folder_that_others_can_write_to_is_not_used(programs) -> None:
    assert cache_folder() == programs
    assert stat.S_IMODE(programs.stat().st_mode) == 0o700
    compiled_root(2.0)
    programs.chmod(0o777)
    assert cache_folder() is None
    compiled_root(3.0)
    assert len(files(programs)) == 1


def test_a_folder_that_cannot_be_made_costs_no_fit(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    np.testing.assert_array_equal(compiled_root(2.0)(np.eye(3)), 2 * np.eye(3))


def test_the_least_recently_used_programs_are_deleted(programs) -> None:
    compiled_root(2.0)
    (used,) = files(programs)
    for i in range(MAX_PROGRAMS):
        path = programs / f"{i}{SUFFIX}"
        path.touch()
        os.utime(path, (i, i))
    os.utime(used, (0, 0))
    compiled_root(2.0)
    compiled_root(3.0)
    assert len(files(programs)) == MAX_PROGRAMS
    assert used in files(programs)
    assert not (programs / f"0{SUFFIX}").exists()
