"""The command line never replaces a file that it reads."""

import os
from pathlib import Path

import pytest
from _kinds import AGE, fitted, read
from _worlds import World, numbers

import bayes_intgen as bi

COLUMNS = ["--outcome", "y", "--actions", "red", "--covariates", "age", "--prior", "linear"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Rows, their fit, a population, and other names of the first two."""
    folder = tmp_path_factory.mktemp("inputs")
    world = World({"red": numbers(lambda a: a)}, {"age": AGE}, weight=0.0)
    table = world.table(60, ["", "red"])
    table.to_csv(folder / "rows.csv", index=False)
    table[["age"]].to_csv(folder / "people.csv", index=False)
    data = read(table, world, covariates=["age"])
    fitted(data, bi.models.additive("linear"), draws=50).save(folder / "fit.nc")
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
