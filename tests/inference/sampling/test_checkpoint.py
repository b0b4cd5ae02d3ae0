import dataclasses
import io
import os
import select
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen._checksum import with_checksum
from bayes_intgen.basis.categories import Categories
from bayes_intgen.data import reservoir
from bayes_intgen.inference.density.log_density import LogDensity
from bayes_intgen.inference.sampling.checkpoint import Checkpoint
from bayes_intgen.inference.sampling.nuts import Draws, nuts
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models.codec import loads

from conftest import confounded_rows

# Linear models are fitted fastest, but do not follow the sine in these rows, as a warning says.
pytestmark = pytest.mark.filterwarnings("ignore::bayes_intgen.LackOfFitWarning")

SETTINGS = {"draws": 60, "warmup": 40, "chains": 2, "progress": False}
POINTS = [[0.1, 0.2], [-0.4, 0.3]]


def fitted(data, checkpoint=None, model=None, **settings) -> bi.Posterior:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.SamplingWarning)
        model = model or bi.models.additive("linear")
        return bi.fit(data, model, checkpoint=checkpoint, **{**SETTINGS, **settings})


def test_a_finished_fit_is_read_from_its_checkpoint_with_the_same_draws(data, tmp_path) -> None:
    plain, first = fitted(data), fitted(data, tmp_path / "run")
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "run").iterdir()}
    assert {file.name for file in written} == {
        "fit.json", "sums.npz",
        *(f"{s}-{c}.npz" for s in ("steps", "covariance", "draws") for c in (0, 1)),
    }  # fmt: skip
    again = fitted(data, tmp_path / "run")
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "run").iterdir()} == written
    for other in (first, again):
        np.testing.assert_array_equal(other.joint_effect(POINTS), plain.joint_effect(POINTS))
        for name, values in plain.tree["sample_stats"].items():
            np.testing.assert_array_equal(other.tree["sample_stats"][name], values)


def test_chains_continue_from_any_stage(data, tmp_path) -> None:
    folder = tmp_path / "run"
    whole = fitted(data, folder).joint_effect(POINTS)
    # As if killed while the first chain was sampling and the second adapting.
    for name in ("draws-0.npz", "draws-1.npz", "covariance-1.npz"):
        (folder / name).unlink()
    np.testing.assert_array_equal(fitted(data, folder).joint_effect(POINTS), whole)
    # Negative control: other random keys give other draws.
    assert not np.isclose(fitted(data, seed=1).joint_effect(POINTS), whole).any()


def normal(precision):
    return lambda z: 0.5 * z @ precision @ z


def normal_density(variance: float) -> LogDensity:
    """Two normal hyperparameters, and one coefficient that is normal about the first of them."""
    precision = np.eye(2) / variance
    return LogDensity(
        normal,
        precision,
        lambda z: (float(normal(precision)(z)), precision @ z),
        lambda data: lambda z, numbers: (normal(data)(z), z[0] + numbers),
        1,
        lambda flat, numbers: flat[0] + numbers,
    )


def sample(surrogate: LogDensity | None, checkpoint: Checkpoint | None = None) -> Draws:
    settings = SamplerSettings(chains=2, draws=60, warmup=60, progress=False)
    starts = np.array([[0.1, 0.2], [-0.3, 0.4]])
    with jax.enable_x64(True):
        return nuts(
            normal_density(1.0), starts, np.eye(2), settings,
            surrogate=surrogate, checkpoint=checkpoint,
        )  # fmt: skip


class Killed(Checkpoint):
    """A checkpoint of a run that is killed after a number of blocks of a stage."""

    def __init__(self, folder: Path, stage: str, blocks: int) -> None:
        super().__init__(folder)
        self._left = {(stage, 1): blocks}

    def write(self, stage: str, chain: int, state, collected) -> None:
        super().write(stage, chain, state, collected)
        if (stage, chain) in self._left:
            self._left[stage, chain] -= 1
            if not self._left[stage, chain]:
                raise KeyboardInterrupt


@pytest.mark.parametrize(("stage", "blocks"), [("steps", 1), ("covariance", 1), ("draws", 2)])
@pytest.mark.parametrize("surrogate", [None, normal_density(1.3)], ids=["exact", "surrogate"])
def test_chains_continue_within_a_stage(tmp_path, stage: str, blocks: int, surrogate) -> None:
    whole = sample(surrogate)
    with pytest.raises(KeyboardInterrupt):
        sample(surrogate, Killed(tmp_path, stage, blocks))
    with np.load(tmp_path / f"{stage}-1.npz") as file:
        assert 0 < len(file["flat"]) < (60 if stage == "draws" else 30)
        # The name of the coefficients in the files of all versions.
        assert file["given"].shape == (len(file["flat"]), 1)
    again = sample(surrogate, Checkpoint(tmp_path))
    np.testing.assert_array_equal(again.flat, whole.flat)
    np.testing.assert_array_equal(again.coefficients, whole.coefficients)
    for name, values in whole.statistics.items():
        np.testing.assert_array_equal(again.statistics[name], values)
    assert whole.statistics["accepted"].all() == (surrogate is None)
    # Negative control: draws differ from each other.
    assert len(np.unique(whole.flat[..., 0])) > 60


def test_a_fit_without_a_fixed_number_of_draws_continues(data, tmp_path) -> None:
    folder = tmp_path / "run"
    whole = fitted(data, folder, draws=None)
    stages = sorted(file.name for file in folder.glob("draws*-0.npz"))
    assert len(stages) > 1
    (folder / stages[-1]).unlink()
    again = fitted(data, folder, draws=None)
    np.testing.assert_array_equal(again.joint_effect(POINTS), whole.joint_effect(POINTS))
    assert (
        again.tree["posterior"].sizes["draw"] == loads(again.tree.attrs["settings"])["draws"] > 200
    )


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"seed": 1}, "settings"),
        ({"model": bi.models.additive("polynomial")}, "model"),
        ({"data": confounded_rows(20, seed=9)}, "data"),
    ],
)
def test_the_checkpoint_of_another_fit_raises_and_is_left_as_it_is(
    data, tmp_path, other, what
) -> None:
    folder = tmp_path / "run"
    fitted(data, folder)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(bi.SavedFitError, match=f"a fit with other {what}"):
        fitted(**{"data": data, "checkpoint": folder, **other})
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_levels_are_part_of_the_data(data, tmp_path) -> None:
    fitted(data, tmp_path / "run")
    renamed = dataclasses.replace(data, categories=(None, Categories.of_numbers([0, 1])))
    with pytest.raises(bi.SavedFitError, match="other data"):
        fitted(renamed, tmp_path / "run")


def test_foreign_and_truncated_files_raise(data, tmp_path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(bi.SavedFitError, match="holds other files"):
        fitted(data, tmp_path)
    folder = tmp_path / "run"
    fitted(data, folder)
    for name in ("draws-1.npz", "sums.npz"):
        file = folder / name
        whole = file.read_bytes()
        for broken in (whole[: len(whole) // 2], b"no archive", b""):
            file.write_bytes(broken)
            with pytest.raises(bi.SavedFitError, match=f"{name} cannot be read"):
                fitted(data, folder)
        file.write_bytes(whole)
    fitted(data, folder)


def test_other_rows_out_of_memory_are_recognised_by_their_sums(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(reservoir, "SAMPLE_ROWS", 60)
    rows = confounded_rows(200, seed=4)
    frame = pd.DataFrame(rows.actions, columns=rows.names).assign(
        intensity=rows.outcome,
        regime=[rows.label(mask).removeprefix("do(").rstrip(")") for mask in rows.intervened],
    )

    def stream(frame: pd.DataFrame) -> bi.StreamedData:
        columns = (list(rows.names), "intensity", "regime")
        return bi.StreamedData.from_batches([frame], *columns, progress=False)

    data, folder = stream(frame), tmp_path / "run"
    before = fitted(data, folder).joint_effect(POINTS)
    other = frame.copy()
    changed = ~frame["intensity"].isin(data.in_memory.outcome)
    other.loc[changed.idxmax(), "intensity"] += 0.1
    np.testing.assert_array_equal(stream(other).in_memory.outcome, data.in_memory.outcome)
    with pytest.raises(bi.SavedFitError, match="holds a fit to other rows"):
        fitted(stream(other), folder)
    # Negative control: the same rows again.
    np.testing.assert_array_equal(fitted(stream(frame), folder).joint_effect(POINTS), before)


def rewritten(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the arrays of a file, and give it a right checksum."""
    with np.load(file) as stored:
        arrays = dict(stored)
    change(arrays)
    content = io.BytesIO()
    np.savez(content, **arrays)
    file.write_bytes(with_checksum(content.getvalue()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.update(state99=np.zeros(2)), "is of another sampler"),
        (lambda arrays: arrays.update(state0=arrays["state0"][:-1]), "is of another sampler"),
        (lambda arrays: arrays.pop("state1"), "is of another sampler"),
        (lambda arrays: arrays.pop("energy"), "is of another sampler"),
        (lambda arrays: arrays.pop("given"), "is of another sampler"),
        (lambda arrays: arrays.update(flat=arrays["flat"][:-1]), "different lengths"),
    ],
)
def test_arrays_of_another_sampler_raise(data, tmp_path, change, message) -> None:
    folder = tmp_path / "run"
    fitted(data, folder)
    rewritten(folder / "draws-1.npz", change)
    with pytest.raises(bi.SavedFitError, match=f"draws-1.npz .*{message}.*; delete it"):
        fitted(data, folder)


@pytest.mark.parametrize("text", ["null", "[]", "3", '"text"', "{}", "[" * 100_000, ""])
def test_label_that_is_no_label_raises(data, tmp_path, text: str) -> None:
    folder = tmp_path / "run"
    fitted(data, folder)
    (folder / "fit.json").write_text(text)
    with pytest.raises(bi.SavedFitError, match="choose another folder, or delete it"):
        fitted(data, folder)


def test_checkpoint_that_is_a_file_raises(data, tmp_path) -> None:
    (tmp_path / "fit.nc").write_text("precious")
    for path in (tmp_path / "fit.nc", tmp_path / "fit.nc" / "run"):
        with pytest.raises(bi.SavedFitError, match="is not a folder; choose another checkpoint"):
            fitted(data, path)
    assert (tmp_path / "fit.nc").read_text() == "precious"


def test_damaged_files_raise_and_removed_ones_are_repeated(data, tmp_path) -> None:
    folder, rng = tmp_path / "run", np.random.default_rng(0)
    whole = fitted(data, folder).joint_effect(POINTS)
    for file in sorted(folder.glob("*.npz")):
        content = file.read_bytes()
        for place in (8, len(content) // 2, -40):
            damaged = bytearray(content)
            damaged[place] ^= 1 << int(rng.integers(8))
            file.write_bytes(damaged)
            with pytest.raises(bi.SavedFitError, match=f"{file.name} cannot be read .its checksum"):
                fitted(data, folder)
        file.write_bytes(content)
    (folder / "draws-0.npz").unlink()
    # The temporary file of a process that was killed.
    (folder / ".bayes-intgen-0123.part").write_bytes(b"half")
    np.testing.assert_array_equal(fitted(data, folder).joint_effect(POINTS), whole)
    assert not list(folder.glob(".*"))


# A process that has imported everything, and forks one process with a fit per line of its input.
PROGRAM = """
import os, sys, warnings
import numpy as np
import bayes_intgen as bi
from conftest import confounded_rows
bi.fit
data, model = confounded_rows(150, seed=3), bi.models.additive("linear", noise="student_t")
for line in sys.stdin:
    folder, out = line.split()
    child = os.fork()
    if not child:
        warnings.simplefilter("ignore")
        posterior = bi.fit(
            data, model, draws=500, warmup=100, chains=2, progress=False,
            checkpoint=None if folder == "-" else folder,
        )
        posterior.save(out)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def _written(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.npz"))


def _ends(output: IO[str], takes: float, folder: Path, written: int) -> bool:
    """Wait until a process ends (True) or has written more than this (False)."""
    while _written(folder) <= written:
        if select.select([output], [], [], takes / 1000)[0]:
            return True
    return False


@pytest.mark.slow
def test_fits_killed_repeatedly_have_the_same_draws(tmp_path) -> None:
    rng = np.random.default_rng(0)
    # With the programs of the first fit most of the others is sampling.
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled")}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **cache},
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None

        def begin(folder: str, out: str) -> int:
            parent.stdin.write(f"{folder} {out}\n")
            parent.stdin.flush()
            return int(parent.stdout.readline())

        for _ in range(2):
            began = time.perf_counter()
            begin("-", str(tmp_path / "whole.nc"))
            assert parent.stdout.readline() == "0\n"
            takes = time.perf_counter() - began
        whole = bi.load(tmp_path / "whole.nc").tree
        kills = grown = 0
        while kills < 10:
            folder, out = tmp_path / f"run{kills}", tmp_path / f"run{kills}.nc"
            ended = None
            while ended != 0:
                written = _written(folder)
                child = begin(str(folder), str(out))
                # At a random moment of the fit, or soon after chains have grown.
                growing = rng.random() < 0.7
                moment = rng.uniform(0, takes / 4 if growing else takes)
                ready = growing and _ends(parent.stdout, takes, folder, written)
                if not ready and not select.select([parent.stdout], [], [], moment)[0]:
                    os.kill(child, signal.SIGKILL)
                    kills += 1
                ended = int(parent.stdout.readline())
                assert ended in (0, -signal.SIGKILL)
                grown += 0 < written < _written(folder)
            tree = bi.load(out).tree
            for group in ("posterior", "sample_stats", "coefficients"):
                for name, values in whole[group].items():
                    np.testing.assert_array_equal(tree[group][name], values)
        parent.stdin.close()
    # Some were killed while their chains grew, and continued from there.
    assert grown > 0
