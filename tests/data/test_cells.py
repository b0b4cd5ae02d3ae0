"""Cells of text files: what was written is read, or asked about, and never something else."""

import re
import warnings
from datetime import date, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bayes_intgen as bi
from bayes_intgen.data.files import cleaned_table, read_table

# Separator of the file, decimal mark and mark between thousands.
LOCALES = {
    "English": (",", ".", ","),
    "German": (";", ",", "."),
    "French": (";", ",", "\u202f"),
    "Swiss": ("\t", ".", "'"),
}


def written(number: float, decimals: int, locale: tuple[str, str, str], form: str = "{}") -> str:
    """A number as a spreadsheet of a country shows it, by Python's English format."""
    _, decimal, thousands = locale
    english = f"{abs(number):,.{decimals}f}"
    text = english.translate(str.maketrans({",": thousands, ".": decimal}))
    sign = "-" if number < 0 and text.strip(f"0{decimal}{thousands}") else ""
    return sign + form.format(text)


def read_file(path, columns: dict[str, list[str]], separator: str):
    """Table of a file, and the warning about it."""
    rows = zip(*columns.values(), strict=True)
    lines = [[*columns], *map(list, rows)]
    quoted = [separator.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in lines]
    path.write_text("\n".join(quoted), encoding="utf-8")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = read_table(path).to_native()
    assert len(caught) <= 1
    return table, "".join(str(warning.message) for warning in caught)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("cells") / "rows.csv"


sizes = st.sampled_from([300, 10**4, 10**6, 10**9])
numbers = sizes.flatmap(lambda size: st.lists(st.integers(-size, size), min_size=2, max_size=9))


@settings(deadline=None, max_examples=300)
@given(numbers, st.integers(0, 4), st.sampled_from(sorted(LOCALES)),
       st.sampled_from(["{}", "€{}", "{} €", "{} mg", "{}%"]))  # fmt: skip
def test_numbers_of_every_country_are_read_exactly(path, units, decimals, country, form) -> None:
    locale = LOCALES[country]
    values = [unit / 10**decimals for unit in units]
    texts = [written(value, decimals, locale, form) for value in values]
    table, said = read_file(path, {"x": texts, "name": ["a"] * len(texts)}, locale[0])
    if table["x"].dtype.kind in "fi":
        assert table["x"].tolist() == values
    else:
        # Nothing decides, or evidence contradicts: a question, and the answer is right.
        assert re.search("'x' stays text: .* may be ", said)
        answered = cleaned_table(path, regime="regime", decimal=locale[1]).frame
        assert answered["x"].tolist() == values
    # A factor of 1000 is not silent.
    plain = pd.to_numeric(table["x"].astype(str), errors="coerce").tolist() == values
    assert said or (plain and form == "{}")


@pytest.mark.parametrize(
    ("texts", "separator", "others", "values"),
    [
        # What plain float reads as 1.234: thousands in German files, decimals in English ones.
        (["1.234", "800", "2.500"], ";", [], [1234, 800, 2500]),
        (["1.234", "2.345", "9.120"], ";", [], [1234, 2345, 9120]),
        (["1.234", "2.345", "9.120"], ",", [], [1.234, 2.345, 9.12]),
        (["1.234", "2.345", "9.120"], ",", ["0,5", "1", "2"], [1234, 2345, 9120]),
        (["1.234", "2.345", "9.120"], ";", ["0.5", "1", "2"], [1.234, 2.345, 9.12]),
        (["1.234", "0.345", "9.120"], ";", [], [1.234, 0.345, 9.12]),
        (["1.234", "1500", "2.1"], ";", [], [1.234, 1500, 2.1]),
        (["13,125", "800", "1,000"], ",", [], [13125, 800, 1000]),
        (["13,125", "9,5", "1,000"], ",", [], [13.125, 9.5, 1]),
        # Evidence contradicts, or is absent.
        (["1.234", "800", "2.500"], ",", [], None),
        (["1.234", "1500", "2.500"], ";", [], None),
        (["1.234", "800", "2.500"], ";", ["0.5", "1", "2"], None),
        (["1.234", "5,678", "9.123"], ";", [], None),
        (["1.234", "2.345", "9.120"], "\t", [], None),
    ],
)  # fmt: skip
def test_marks_are_decided_by_cells_column_file_and_separator(
    path, texts, separator, others, values
) -> None:
    columns = {"x": texts, "other": others or ["a", "b", "c"]}
    table, said = read_file(path, columns, separator)
    assert table["x"].tolist() == (texts if values is None else values)
    assert ("'x' stays text: '1.234' may be 1234 (decimal=',') or 1.234" in said) == (
        values is None
    )
    if values is not None and values != [float(text) for text in texts if "," not in text]:
        assert f"'x': {texts[0]!r} read as {values[0]}" in said


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["(1,234.5)", "5"], [-1234.5, 5]),
        (["1.234,50-", "5"], [-1234.5, 5]),
        (["\u22125", "+6"], [-5, 6]),
        (["1e3", "2.5E-1"], [1000, 0.25]),
        (["USD 1,234,567", "USD 5"], [1234567, 5]),
        (["30%", "5 %"], [30, 5]),
        (["10 mg", "0", "10MG", "5Mg"], [10, 0, 10, 5]),
        ([" 7 ", "-", "n/a", "8", "#N/A", "k.A."], [7, None, None, 8, None, None]),
        (["9007199254740993", "-"], [9007199254740993, None]),
        (["True", "false"], [True, False]),
        (["7", "ND", "Unknown", "---", "*", "not reported"], [7, *[None] * 5]),
        # Zeros, which may be meant, are asked about, and words and signs alone are levels.
        (["10 mg", "5 mg", "none"], None), (["10", "$ -"], None),
        (["+", "-"], None), (["unknown", "missing"], None),
        # One column has one unit, and nothing but numbers.
        (["10 mg", "1 g"], None), (["13k", "800"], None), (["30%", "0.3"], None),
        (["<5", "6", "7"], None), (["1st", "2nd"], None), (["5.-", "6.-"], None),
        (["1,234.5", "1.234,5"], None), (["12:30", "13:45"], None), (["1/2", "3/4"], None),
        (["9223372036854775808", "1"], None), (["Q1", "Q2"], None), (["low", "-"], None),
        (["2024-01-01T23:00-05:00", "2024-01-02T01:00+09:00", "2024-01-03T01:00Z"], None),
    ],
)  # fmt: skip
def test_cells_of_numbers(texts, values) -> None:
    with warnings.catch_warnings(action="ignore"):
        cells = bi.clean(pd.DataFrame({"x": texts}))["x"]
    expected = [text.strip() for text in texts] if values is None else values
    assert [None if pd.isna(cell) else cell for cell in cells] == expected


FORMS = {
    "%Y-%m-%d": None, "%Y/%m/%d": None, "%d %b %Y": None, "%B %d, %Y": None, "%d-%b-%y": None,
    "%d/%m/%Y": "day", "%d.%m.%Y": "day", "%d-%m-%y": "day",
    "%m/%d/%Y": "month", "%m/%d/%y": "month",
}  # fmt: skip


@settings(deadline=None, max_examples=100)
@given(st.lists(st.dates(date(1990, 1, 1), date(2050, 1, 1)), min_size=2, max_size=8),
       st.sampled_from(sorted(FORMS)), st.booleans())  # fmt: skip
def test_dates_are_read_exactly_or_asked_about(days, form, with_time) -> None:
    texts = [day.strftime(form) + " 13:05" * with_time for day in days]
    frame = pd.DataFrame({"day": texts, "y": range(len(texts))})
    with warnings.catch_warnings(action="ignore"):
        cells = bi.clean(frame)["day"]
        answered = bi.clean(frame, dates=FORMS[form])["day"]
    moments = [pd.Timestamp(day) + timedelta(minutes=785 * with_time) for day in days]
    assert answered.tolist() == moments
    if cells.tolist() != moments:
        assert cells.tolist() == texts
        assert FORMS[form] is not None
        # A day after the twelfth decides, if two digits at the end cannot be a day.
        assert max(day.day for day in days) <= 12 or form == "%d-%m-%y"


def test_dates_without_a_day_after_the_twelfth_are_decided_by_another_column(path) -> None:
    columns = {"from": ["1/2/2024", "3/4/2024"], "to": ["13/2/2024", "4/4/2024"], "y": ["1", "2"]}
    table, _ = read_file(path, columns, ",")
    assert table["from"].dt.month.tolist() == [2, 4]
    del columns["to"]
    table, said = read_file(path, columns, ",")
    assert table["from"].tolist() == columns["from"]
    assert "2024-02-01 (dates='day') or 2024-01-02 (dates='month')" in said


def test_texts_stand_for_numbers_and_missing_cells() -> None:
    frame = pd.DataFrame({"dose": ["10 mg", "None given", "20mg", "lost", "5 mg", "1 g"]})
    frame["note"] = ["lost", "found", "none given", "lost", "found", "1 g"]
    with pytest.warns(bi.DataWarning, match="'10 mg' read as 10, 1 cell such as 'lost' as missing"):
        cleaned = bi.clean(frame, cells={"none given": "0 mg", "LOST": None, "1 g": "1000"})
    assert cleaned["dose"].fillna(-1).tolist() == [10, 0, 20, -1, 5, 1000]
    assert cleaned["note"].tolist() == frame["note"].tolist()
    # What is left is named.
    left = pd.DataFrame({"dose": ["10 mg", "none", "5 mg"] * 9, "y": range(27), "regime": ""})
    with pytest.raises(bi.DataError, match=r"'none' may be 0 \(cells={'none': '0'}\) or missing"):
        bi.read(left, ["dose"], "y")
    for cells, message in (
        ({"found": None}, r"cells={'found': None}: no column of numbers or dates has such a cell"),
        ({"lost": "gone"}, "'gone' is neither a number nor a date"),
        (["lost"], "cells must map texts to what they stand for, not"),
    ):
        with pytest.raises(bi.DataError, match=message):
            bi.clean(frame, cells=cells)


def test_tables_keep_their_kind() -> None:
    columns = {
        " tv ": ["€1,234.5", "", "-"],
        "day": ["25/3/2024", "1/2/2024", "n/a"],
        "level": [" a", "-", "b"],
        "x": [1.0, 2.0, 3.0],
        "regime": ["NA", "1", ""],
    }
    frame, other = pd.DataFrame(columns, index=[4, 5, 6]), pl.DataFrame(columns)
    kinds = (frame, pd.DataFrame), (other, pl.DataFrame), (other.lazy(), pl.DataFrame)
    for source, kind in (*kinds, (other.to_arrow(), pa.Table)):
        with pytest.warns(bi.DataWarning, match="'tv': '€1,234.5' read as 1234.5, 2 cells such as"):
            out = bi.clean(source)
        assert type(out) is kind
        native = out if kind is pd.DataFrame else out.to_pandas()
        assert native["tv"].isna().tolist() == [False, True, True]
        assert native["day"].tolist()[:2] == [pd.Timestamp(2024, 3, 25), pd.Timestamp(2024, 2, 1)]
        assert native["level"].tolist() == ["a", "-", "b"]
        assert native["regime"].tolist() == ["NA", "1", ""]
    assert bi.clean(frame[["x"]]).index.tolist() == [4, 5, 6]
    with pytest.raises(bi.DataError, match="source must be a table .* or a path, not int"):
        bi.clean(3)
    with pytest.raises(bi.DataError, match="unknown decimal 'comma'; choose ',' or '.'"):
        bi.clean(frame, decimal="comma")
    with pytest.raises(bi.DataError, match="names of columns must be text"):
        bi.clean(pd.DataFrame({0: ["1", "2"], "y": ["a", "b"]}))


def test_blank_text_of_a_frame_is_a_missing_cell() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 2)), columns=["tv", "sales"])
    frame = frame.assign(holiday=["", " ", "Easter", "May"] * 10, regime=["", "tv"] * 20)
    for source in (frame, frame.astype({"holiday": "category"}), pl.from_pandas(frame)):
        rows = bi.read(source, ["tv"], "sales", covariates=["holiday"], missing="level")
        assert set(rows.columns.categories[0].labels) == {"Easter", "May", "missing"}
        with pytest.raises(bi.DataError, match="'holiday' has 20 missing cells"):
            bi.read(source, ["tv"], "sales", covariates=["holiday"])
