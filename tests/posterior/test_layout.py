import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.posterior.layout import of_netcdf, to_netcdf

from _crafted import CRAFTS, craft


@pytest.fixture(scope="module")
def saved(posterior, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "fit.nc"
    posterior.save(path)
    return path


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
    craft("nothing", saved, tmp_path / "fit.nc", np.random.default_rng(0))
    assert bi.load(tmp_path / "fit.nc").tree.identical(bi.load(saved).tree)


def test_serialised_trees_are_restored(posterior) -> None:
    assert of_netcdf(to_netcdf(posterior.tree)).identical(posterior.tree)
