import os
import subprocess
import sys

import arviz as az
import numpy as np
import pytest
import xarray as xr

import bayes_intgen as bi
from bayes_intgen._atomic import with_checksum

from _crafted import CRAFTS, craft


@pytest.fixture
def saved(posterior, tmp_path):
    path = tmp_path / "fit.nc"
    posterior.save(path)
    return path


def test_failed_save_leaves_only_the_old_file(posterior, saved, monkeypatch) -> None:
    before = saved.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", full)
    with pytest.raises(OSError, match="No space"):
        posterior.save(saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_foreign_file_is_rejected(tmp_path) -> None:
    path = tmp_path / "other.nc"
    xr.Dataset({"x": ("y", [1.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(bi.SavedFitError, match="another file, as it has no right checksum"):
        bi.load(path)
    path.write_bytes(with_checksum(path.read_bytes()))
    with pytest.raises(bi.SavedFitError, match="not written by bayes-intgen"):
        bi.load(path)
    path.write_text("regime,red\n")
    with pytest.raises(bi.SavedFitError, match="another file"):
        bi.load(path)
    with pytest.raises(FileNotFoundError, match=r"missing\.nc"):
        bi.load(tmp_path / "missing.nc")


def rewrite(path, change) -> None:
    tree = bi.load(path).tree.copy(deep=True)
    change(tree)
    tree.to_netcdf(path, engine="h5netcdf")
    path.write_bytes(with_checksum(path.read_bytes()))


FIT = "fit"
GROUPS = (FIT, "posterior", "sample_stats", "constant_data", "coefficients", "noise", "support")
OTHER_VERSION = "another version of bayes-intgen; fit again"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *((lambda tree, own=g: tree.__delitem__(own), f"{g} is missing") for g in GROUPS),
        (lambda tree: tree.attrs.update(format=99), OTHER_VERSION),
        (lambda tree: tree.attrs.update(format="1"), OTHER_VERSION),
        (lambda tree: tree.attrs.pop("format"), OTHER_VERSION),
        (lambda tree: tree[FIT].attrs.pop("terms"), "'terms' is missing"),
        (lambda tree: tree[FIT].attrs.update(terms="{"), "model cannot be read"),
        (lambda tree: tree[FIT].attrs.update(terms='{"kind": "Popen", "args": ["true"]}'), "Popen"),
        (lambda tree: tree[FIT].attrs.update(model='{"kind": "GP", "size": 1}'), "model cannot be"),
    ],
)
def test_file_with_other_parts_is_rejected(saved, change, message) -> None:
    rewrite(saved, change)
    with pytest.raises(bi.SavedFitError, match=message):
        bi.load(saved)


def test_other_programs_open_the_file(posterior, saved) -> None:
    with xr.open_datatree(saved) as opened:
        assert opened.attrs.items() >= posterior.tree.attrs.items()
        for group in ("posterior", "coefficients", "support"):
            xr.testing.assert_equal(opened[group].dataset, posterior.tree[group].dataset)
    assert "posterior" in az.from_netcdf(saved).children


def test_every_kind_of_tree_loads_as_it_was_saved(posterior, data, tmp_path) -> None:
    check = bi.check(data, held_out=0, progress=False)
    tree = posterior.with_check(check).tree
    tree.attrs["note"] = "of the first experiment"
    tree["posterior"]["noise_sd"].attrs.update(units="lux", exponents=[1, 2])
    bi.Posterior(tree).save(tmp_path / "fit.nc")
    loaded = bi.load(tmp_path / "fit.nc").tree
    # A loaded fit does not need its file.
    (tmp_path / "fit.nc").unlink()
    assert [node.path for node in loaded.subtree] == [node.path for node in tree.subtree]
    for node in tree.subtree:
        if node.path == "/posterior":
            exponents = loaded["posterior"]["noise_sd"].attrs.pop("exponents")
            assert exponents.tolist() == node["noise_sd"].attrs.pop("exponents")
        xr.testing.assert_identical(loaded[node.path].dataset, node.dataset)


def test_any_change_of_a_file_is_noticed(saved) -> None:
    content, rng = saved.read_bytes(), np.random.default_rng(0)
    damaged = [content[: int(share * len(content))] for share in (0.0, 0.01, 0.5, 0.99)]
    for place in [*rng.integers(len(content), size=30), *range(-100, 0, 7)]:
        damaged.append(bytearray(content))
        damaged[-1][place] ^= 1 << int(rng.integers(8))
    for own in damaged:
        saved.write_bytes(own)
        with pytest.raises(bi.SavedFitError, match=r"fit\.nc cannot be .* no right checksum"):
            bi.load(saved)


def test_anything_but_a_file_is_refused_at_once(saved, tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in (tmp_path / "pipe", tmp_path, "/dev/zero", ""):
        with pytest.raises(bi.SavedFitError, match="is not a file; name a saved fit"):
            bi.load(name)
    with pytest.raises(OSError, match="not a regular file"):
        bi.load(saved).save(tmp_path / "pipe")


def test_refusals_print_nothing(saved) -> None:
    """A traceback of a destructor would go to standard error."""
    saved.write_bytes(saved.read_bytes()[:5000])
    program = (
        "import sys, bayes_intgen as bi\n"
        "try: bi.load(sys.argv[1])\nexcept bi.SavedFitError: print('refused')"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, str(saved)]
    run = subprocess.run(command, capture_output=True, check=True)
    assert (run.stdout, run.stderr) == (b"refused\n", b"")


@pytest.mark.parametrize("name", CRAFTS)
def test_crafted_files_are_refused(saved, tmp_path, name) -> None:
    rng = np.random.default_rng(len(name))
    for i in range(3):
        path = tmp_path / f"{i}.nc"
        craft(name, saved, path, rng)
        with pytest.raises(bi.SavedFitError, match=rf"{i}\.nc cannot be read as a saved fit"):
            bi.load(path)


def test_files_crafted_without_a_change_load(saved, tmp_path, monkeypatch) -> None:
    """The negative control: nothing else in a crafted file is refused."""
    monkeypatch.setitem(CRAFTS, "nothing", lambda *_: None)
    craft("nothing", saved, tmp_path / "crafted.nc", np.random.default_rng(0))
    assert bi.load(tmp_path / "crafted.nc").tree.identical(bi.load(saved).tree)
