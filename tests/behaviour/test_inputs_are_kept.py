"""The command line never replaces a file that it reads."""

import os
import subprocess
import sys
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
    ],
)
def test_an_output_that_is_an_input_is_refused(folder, command, source) -> None:
    before = (folder / source).read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "bayes_intgen.cli", *command],
        capture_output=True, text=True, cwd=folder,
    )  # fmt: skip
    assert (folder / source).read_bytes() == before
    assert done.returncode == 1, done.stderr
    assert "an input; name another file" in done.stderr
    assert len(list(folder.iterdir())) == 6


def test_a_checkpoint_of_the_name_of_the_fit_is_refused_before_sampling(folder) -> None:
    command = ["fit", "rows.csv", *COLUMNS, "-o", "new", "--checkpoint", "./new"]
    done = subprocess.run(
        [sys.executable, "-m", "bayes_intgen.cli", *command],
        capture_output=True, text=True, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 1
    assert "--output new would replace new, an input; name another file" in done.stderr
