import json
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import bayes_intgen as bi

POINTS = [[0.1, 0.2], [-0.4, 0.3]]


@pytest.fixture
def saved(posterior, tmp_path):
    path = tmp_path / "fit.nc"
    posterior.save(path)
    return path


def test_a_fresh_process_predicts_the_same_to_the_last_bit(posterior, saved, tmp_path) -> None:
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
    found = np.load(out)
    np.testing.assert_array_equal(found["joint"], posterior.joint_effect(POINTS))
    np.testing.assert_array_equal(found["red"], posterior.effect(POINTS, ["red"]))
    np.testing.assert_array_equal(found["phi"], posterior.mechanisms(POINTS)["confounded"])


def test_what_is_loaded_is_what_was_saved(posterior, saved) -> None:
    loaded = bi.load(saved)
    assert loaded.model == posterior.model
    assert loaded.tree.attrs == posterior.tree.attrs
    for group in ("posterior", "sample_stats", "constant_data", "coefficients"):
        xr.testing.assert_identical(loaded.tree[group].dataset, posterior.tree[group].dataset)


def test_a_loaded_fit_needs_its_file_no_more(posterior, saved) -> None:
    loaded = bi.load(saved)
    saved.unlink()
    np.testing.assert_array_equal(loaded.joint_effect(POINTS), posterior.joint_effect(POINTS))


def test_a_failed_save_leaves_the_old_file_and_nothing_else(posterior, saved, monkeypatch) -> None:
    before = saved.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", full)
    with pytest.raises(OSError, match="No space"):
        posterior.save(saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(saved, share) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(bi.SavedFitError, match=r"fit\.nc cannot be read.*truncated"):
        bi.load(saved)


def test_a_foreign_file_is_refused(tmp_path) -> None:
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


def test_a_file_from_a_newer_version_is_refused(saved) -> None:
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
def test_a_damaged_file_is_refused(saved, change) -> None:
    rewrite(saved, change)
    with pytest.raises(bi.SavedFitError):
        bi.load(saved)
