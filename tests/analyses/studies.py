"""Analyses at quick size, run as the command line does."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pandas as pd

FIGURES = (".png", ".svg")


def run(name: str, monkeypatch, folder: Path, *words: str) -> ModuleType:
    """Run an analysis, which writes to a folder, without R."""
    analysis = import_module(name)
    if hasattr(analysis, "has_mgcv"):
        monkeypatch.setattr(analysis, "has_mgcv", lambda: False)
    argv = [f"{name}.py", "--quick", "--output", str(folder), *words]
    monkeypatch.setattr(sys, "argv", argv)
    analysis.main()
    return analysis


def read(table: Path, *index: str) -> pd.DataFrame:
    """Read a table of results, below the lines about how it was made."""
    return pd.read_csv(table, comment="#", index_col=list(index) or None)


def assert_figures(path: Path, least: int = 5000) -> None:
    """There are pictures of this name, of at least so many bytes."""
    for suffix in FIGURES:
        assert path.with_suffix(suffix).stat().st_size > least


def assert_resumes(study: ModuleType, table: Path) -> None:
    """A second run uses the saved rows: it leaves a column that a new run would not write."""
    lines = table.read_text().splitlines()
    marked = "".join(f"{line}\n" if line.startswith("#") else f"{line},mark\n" for line in lines)
    table.write_text(marked)
    study.main()
    assert table.read_text() == marked
