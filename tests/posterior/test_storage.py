import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayes_intgen as bi
from bayes_intgen.models.codec import TAGS

POINTS = [[0.1, 0.2], [-0.4, 0.3]]


@pytest.fixture
def saved(posterior, tmp_path):
    path = tmp_path / "fit.nc"
    posterior.save(path)
    return path


def test_fresh_process_predicts_the_same_to_the_last_bit(posterior, saved, tmp_path) -> None:
    program = (
        "import sys, json, numpy as np, bayes_intgen as bi\n"
        "p = bi.load(sys.argv[1]); points = json.loads(sys.argv[2])\n"
        "np.savez(sys.argv[3], joint=p.joint_effect(points), red=p.effect(points, ['red']),\n"
        "         phi=p.mechanisms(points)['confounded'])\n"
    )
    out = tmp_path / "predictions.npz"
    subprocess.run(
        [sys.executable, "-c", program, str(saved), json.dumps(POINTS), str(out)], check=True
    )
    predictions = np.load(out)
    np.testing.assert_array_equal(predictions["joint"], posterior.joint_effect(POINTS))
    np.testing.assert_array_equal(predictions["red"], posterior.effect(POINTS, ["red"]))
    np.testing.assert_array_equal(predictions["phi"], posterior.mechanisms(POINTS)["confounded"])


def test_loaded_fit_equals_the_saved_one(posterior, saved) -> None:
    loaded = bi.load(saved)
    assert loaded.model == posterior.model
    assert loaded.tree.attrs == posterior.tree.attrs
    for group in ("posterior", "sample_stats", "constant_data", "coefficients"):
        xr.testing.assert_identical(loaded.tree[group].dataset, posterior.tree[group].dataset)


def test_loaded_fit_does_not_need_its_file(posterior, saved) -> None:
    loaded = bi.load(saved)
    saved.unlink()
    np.testing.assert_array_equal(loaded.joint_effect(POINTS), posterior.joint_effect(POINTS))


def test_failed_save_leaves_only_the_old_file(posterior, saved, monkeypatch) -> None:
    before = saved.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", full)
    with pytest.raises(OSError, match="No space"):
        posterior.save(saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_file_is_rejected(saved, share) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(bi.SavedFitError, match=r"fit\.nc cannot be read.*truncated"):
        bi.load(saved)


def test_foreign_file_is_rejected(tmp_path) -> None:
    path = tmp_path / "other.nc"
    xr.Dataset({"x": ("y", [1.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(bi.SavedFitError, match="not written by bayes-intgen"):
        bi.load(path)
    path.write_text("regime,red\n")
    with pytest.raises(bi.SavedFitError, match="not netCDF"):
        bi.load(path)
    with pytest.raises(FileNotFoundError, match=r"missing\.nc"):
        bi.load(tmp_path / "missing.nc")


def rewrite(path, change) -> None:
    tree = bi.load(path).tree.copy(deep=True)
    change(tree)
    tree.to_netcdf(path, engine="h5netcdf")


def test_file_of_a_newer_version_is_rejected(saved) -> None:
    rewrite(saved, lambda tree: tree.attrs.update(creation_library_version="99.0"))
    with pytest.raises(bi.SavedFitError, match=r"written by bayes-intgen 99\.0.*upgrade"):
        bi.load(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.attrs.pop("terms"),
        lambda tree: tree.attrs.update(terms="{"),
        lambda tree: tree.attrs.update(terms='{"kind": "Popen", "args": ["true"]}'),
        lambda tree: tree.attrs.update(model='{"kind": "GP", "size": 1}'),
        lambda tree: tree.__delitem__("coefficients"),
    ],
    ids=["no terms", "no JSON", "foreign kind", "bad settings", "no draws"],
)
def test_damaged_file_is_rejected(saved, change) -> None:
    rewrite(saved, change)
    with pytest.raises(bi.SavedFitError):
        bi.load(saved)


# The children load the fits, because open HDF5 files do not survive a fork.
SAVING = """
import os, sys
import bayes_intgen as bi
names = sys.argv[1:3]
bi.load
for _ in sys.stdin:
    names.reverse()
    child = os.fork()
    if not child:
        fits = [bi.load(name) for name in names]
        # The first save of a process imports modules.
        fits[0].save(sys.argv[3] + ".first")
        print("saving", flush=True)
        while True:
            for fit in fits:
                fit.save(sys.argv[3])
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


@pytest.mark.slow
def test_process_killed_during_a_save_leaves_a_whole_file(posterior, tmp_path) -> None:
    """At a random moment, twenty times: an old file or a new one, never half of either."""
    one, other, path = (str(tmp_path / name) for name in ("one.nc", "other.nc", "fit.nc"))
    posterior.save(one)
    # As many draws in reverse order, so that every one differs.
    tree = posterior.tree.copy()
    coefficients = tree["coefficients"].to_dataset()
    tree["coefficients"] = xr.DataTree(coefficients.isel(draw=slice(None, None, -1)))
    bi.Posterior(tree).save(other)
    began = time.perf_counter()
    posterior.save(path)
    duration = time.perf_counter() - began
    content = {bi.load(name).joint_effect(POINTS)[0, 0, 0].item() for name in (one, other)}
    rng, loaded_effects = np.random.default_rng(0), set()
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SAVING, one, other, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for _ in range(20):
            parent.stdin.write("go\n")
            parent.stdin.flush()
            words = {parent.stdout.readline(), parent.stdout.readline()}
            child = int((words - {"saving\n"}).pop())
            # Nothing more is written to standard output before the child is killed.
            select.select([parent.stdout], [], [], rng.uniform(0, 3 * duration))
            os.kill(child, signal.SIGKILL)
            assert parent.stdout.readline() == "ended\n"
            loaded_effects.add(bi.load(path).joint_effect(POINTS)[0, 0, 0].item())
        parent.stdin.close()
    assert loaded_effects == content
    assert len(content) == 2


# Fits saved by earlier versions, named after the commit, and their predictions.
EARLIER = Path(__file__).parent / "saved_fits"
PREDICTIONS = json.loads((EARLIER / "predictions.json").read_text())


@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
@pytest.mark.parametrize("name", PREDICTIONS)
def test_earlier_fits_load_and_predict_the_same(name, tmp_path) -> None:
    expected = PREDICTIONS[name]
    posterior = bi.load(EARLIER / f"{name}.nc")
    effect = (
        posterior.joint_effect(expected["points"]).to_numpy().reshape(-1, len(expected["points"]))
    )
    np.testing.assert_allclose(effect, expected["joint_effect"], rtol=1e-9)
    if "given" in expected:
        at = posterior.joint_effect(expected["points"], given=expected["given"]).to_numpy()
        np.testing.assert_allclose(
            at.reshape(effect.shape), expected["joint_effect_given"], rtol=1e-9
        )
    posterior.save(tmp_path / "again.nc")
    again = bi.load(tmp_path / "again.nc")
    assert again.tree.attrs == posterior.tree.attrs


def test_earlier_fits_contain_every_kind_of_stored_value() -> None:
    attributes = [str(bi.load(EARLIER / f"{name}.nc").tree.attrs) for name in PREDICTIONS]
    assert set(re.findall(r'"kind": "([A-Z]\w+)"', "".join(attributes))) == set(TAGS)
