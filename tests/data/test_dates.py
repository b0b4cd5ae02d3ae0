"""Dates as covariates."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import bayes_intgen as bi


def frame(days: int = 800) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    week = pd.date_range("2022-01-03", periods=days, freq="D")
    table = pd.DataFrame({"tv": rng.normal(size=days), "week": week})
    season = np.sin(2 * np.pi * np.arange(days) / 365.25)
    table["y"] = table["tv"] + season + 0.1 * rng.normal(size=days)
    table["regime"] = np.where(np.arange(days) % 2, "tv", "")
    return table


ROLES = {"actions": ["tv"], "outcome": "y", "regime": "regime", "covariates": ["week"]}


@pytest.mark.parametrize("kind", ["pandas", "polars", "text", "objects", "parquet"])
def test_dates_are_days(kind: str, tmp_path: Path) -> None:
    table = frame()
    expected = np.arange(len(table)) + 18995.0
    if kind == "parquet":
        table.to_parquet(tmp_path / "rows.parquet")
        data = bi.StreamedData.from_parquet(tmp_path / "rows.parquet", **ROLES, progress=False)
        rows = data.in_memory
    else:
        if kind == "text":
            table["week"] = table["week"].dt.strftime("%Y-%m-%d")
        if kind == "objects":
            table["week"] = table["week"].dt.date
        rows = data = bi.RegimeData.from_frame(
            pl.from_pandas(table) if kind == "polars" else table, **ROLES
        )
    np.testing.assert_array_equal(rows.covariates[:, 0], expected)
    assert data.columns.dates == ("week",)
    terms = bi.models.additive("linear").decompose(rows)
    names = [term.name for term in terms.terms if term.role == "covariate"]
    assert names == ["gamma(week) slope", "gamma(week) trend", "gamma(week) season 365.25"]


def test_missing_dates_raise() -> None:
    table = frame()
    table.loc[3, "week"] = pd.NaT
    with pytest.raises(bi.DataError, match="week"):
        bi.RegimeData.from_frame(table, **ROLES)
