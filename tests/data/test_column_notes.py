import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bayes_intgen as bi
from bayes_intgen.data.column_notes import content_of, explain_columns
from bayes_intgen.data.tables import as_table


def table(rows: int = 240) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "week": pd.date_range("2026-01-01", periods=rows).strftime("%Y-%m-%d"),
            "day": pd.date_range("2026-01-01", periods=rows),
            "region": rng.choice([f"r{i}" for i in range(24)], rows),
            "shop": [f"shop {i % 80}" for i in range(rows)],
            "tv": rng.normal(size=rows),
            "drug": rng.choice(["off", "low", "high"], rows),
            "search": [f"€{x:,.2f}" for x in rng.gamma(2, 8000, rows)],
            "promo": rng.choice(["yes", "no"], rows),
            "open": rng.random(rows) < 0.5,
            "age": np.where(np.arange(rows) == 3, np.nan, rng.normal(40, 9, rows)),
            "year": np.float16(2026),
            "note": [f"comment {i}" for i in range(rows)],
            "sales": rng.normal(size=rows),
            "regime": rng.choice(["", "TV", "do(drug)", "tv, drug"], rows),
        }
    )


@pytest.mark.parametrize(
    "convert", [lambda f: f, pl.from_pandas, pa.Table.from_pandas], ids=["pandas", "polars", "pa"]
)
def test_every_column_is_explained(convert) -> None:
    frame = as_table(convert(table()))
    roles = {"tv": "action", "drug": "action", "promo": "covariate", "sales": "outcome",
             "regime": "regime", "region": "group"}  # fmt: skip
    notes = {note.name: note for note in explain_columns(frame, roles)}
    assert list(notes) == list(table().columns)
    assert {name: note.role for name, note in notes.items() if note.role != "unused"} == roles
    reasons = {name: note.reason for name, note in notes.items()}
    assert reasons["week"].startswith("dates written as text, such as '2026-01-01' in row 0; a cov")
    assert reasons["day"].startswith("dates, such as '2026-01-01' in row 0")
    assert reasons["drug"] == "text with 3 values, 'high', 'low', 'off'; levels"
    assert reasons["promo"] == "text with two values, 'no', 'yes'; levels"
    assert reasons["region"].startswith("text with 24 values, 'r0', 'r1'")
    assert "a group if these are units" in reasons["shop"]
    assert "text such as '€" in reasons["search"]
    assert "that reads as numbers; bi.clean(frame) converts it" in reasons["search"]
    assert reasons["open"].startswith("booleans with two values, False, True; an action if")
    assert "; 1 missing cell" in reasons["age"]
    assert reasons["year"] == "always 2026; it does not vary"
    assert reasons["note"] == "text with 240 values, such as 'comment 0' in row 0"


def test_columns_of_unusual_types_are_explained() -> None:
    hours, code = (pl.Series([1, 99], dtype=kind) for kind in (pl.Duration, pl.Decimal(9, 0)))
    odd = {"list": [[1], [2]], "none": [None, None], "hours": hours, "code": code}
    kinds = [content_of(own).kind for own in as_table(pl.DataFrame(odd).to_arrow()).iter_columns()]
    assert kinds == ["other", "constant", "other", "whole"]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["yes", "no"] * 15, "holds text such as 'yes' in row 0, not numbers"),
        (["€13,125", "€800", "n/a"] * 10, "text such as '€13,125' in row 0 that reads as numbers"),
        (["1.234", "12.345", "9.120"] * 10, r"'1.234' may be 1234 \(decimal=','\) or 1.234 \(dec"),
        (pd.date_range("2026-01-01", periods=30), "holds dates .*'2026-01-01.* in row 0; convert"),
        (["2026-01-01", "2026-02-01", "2026-03-01"] * 10, "holds text .* reads as dates; bi.clean"),
        ([*map(str, range(29)), "<5"], r"'<5' may be missing \(cells={'<5': None}\) or a num"),
    ],
)
def test_outcomes_that_are_not_numbers_are_refused_with_a_remedy(column, message) -> None:
    frame = pd.DataFrame({"x": np.arange(30.0), "y": column, "regime": ["", "x"] * 15})
    with pytest.raises(bi.DataError, match=message):
        bi.RegimeData.from_frame(frame, ["x"], "y", "regime")
