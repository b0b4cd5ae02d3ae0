"""The command line never replaces a file that it reads."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi

COLUMNS = ["--outcome", "y", "--actions", "red", "--covariates", "age", "--prior", "linear"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Rows, their fit, a population, and other names of the first two."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(120, 3)), columns=["red", "age", "y"])
    # As many rows of each age in both regimes.
    age = np.repeat(table["age"][:60], 2).to_numpy()
    table = table.assign(age=age, y=table["y"] + table["red"], regime=["", "red"] * 60)
    table.to_csv(folder / "rows.csv", index=False)
    table[["age"]].to_csv(folder / "people.csv", index=False)
    data = bi.RegimeData.from_frame(table, ["red"], "y", "regime", covariates=["age"])
    fit = bi.fit(
        data, bi.models.additive("linear"), method="laplace", draws=50, chains=1, progress=False
    )
    fit.save(folder / "fit.nc")
    (folder / "fit.png").write_bytes((folder / "fit.nc").read_bytes())
    (folder / "link.csv").symlink_to(folder / "rows.csv")
    os.link(folder / "fit.nc", folder / "same.html")
    return folder


@pytest.mark.parametrize(
    ("command", "source"),
    [
        (["fit", "rows.csv", *COLUMNS, "--method", "laplace", "-o", "rows.csv"], "rows.csv"),
        (["fit", "rows.csv", *COLUMNS, "--method", "laplace", "-o", "link.csv"], "rows.csv"),
        (["fit", "link.csv", *COLUMNS, "--method", "laplace", "-o", "./rows.csv"], "rows.csv"),
        (["report", "fit.nc", "-o", "fit.nc"], "fit.nc"),
        (["report", "fit.nc", "-o", "same.html"], "fit.nc"),
        (["report", "fit.nc", "--data", "rows.csv", "-o", "rows.csv"], "rows.csv"),
        (["report", "fit.nc", "--population", "people.csv", "-o", "people.csv"], "people.csv"),
        (["plot", "fit.png", "-o", "fit"], "fit.png"),
        # Before sampling, whose sums would be written to the checkpoint.
        (["fit", "rows.csv", *COLUMNS, "-o", "new", "--checkpoint", "./new"], "rows.csv"),
    ],
)
def test_an_output_that_is_an_input_is_refused(folder, monkeypatch, run, command, source) -> None:
    monkeypatch.chdir(folder)
    before = (folder / source).read_bytes()
    assert "an input; name another file" in run(*command, code=1).err
    assert (folder / source).read_bytes() == before
    assert len(list(folder.iterdir())) == 6
