from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr

import bayes_intgen as bi
from bayes_intgen.basis.categories import Categories


def frame(rows: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    labels = [None, "", "observational", "red", "green", "red+green"]
    return pd.DataFrame(
        {
            "red": rng.normal(size=rows),
            "green": rng.normal(size=rows),
            "intensity": rng.normal(size=rows),
            "regime": [labels[i % 6] for i in range(rows)],
        }
    )


def read(table: object, **changes: object) -> bi.RegimeData:
    columns = {"actions": ["red", "green"], "outcome": "intensity", "regime": "regime"} | changes
    return bi.RegimeData.from_frame(table, **columns)


def test_spaces_around_labels_are_ignored_unless_part_of_a_name() -> None:
    table = frame().rename(columns={"red": " red"})
    table["regime"] = [" red", "red ", " green", None, "", " observational "] * 5
    with pytest.raises(bi.DataError, match="'red ' in row 1 .did you mean ' red'"):
        read(table, actions=[" red", "green"])
    table["regime"] = [" red", " red", " green", None, "", " observational "] * 5
    masks = read(table, actions=[" red", "green"]).intervened
    np.testing.assert_array_equal(masks[:6].sum(axis=0), [2, 1])


def test_long_integers_are_rounded_and_single_floats_the_decimals_that_were_written() -> None:
    table = frame().round(4).assign(red=2**62 + np.arange(30) * 2**40 + 1)
    table.loc[0, "green"] = 2**24
    reference, single = read(table).actions, table.astype({"green": "f4"})
    # As databases give them to pandas.
    decimals = table.assign(red=[*map(Decimal, table["red"])]).astype({"green": "Sparse[float]"})
    exact = pa.Table.from_pandas(table.assign(green=table["green"].astype(str).map(Decimal)))
    for same in (single, pl.from_pandas(single), pa.Table.from_pandas(single), decimals, exact):
        np.testing.assert_array_equal(read(same).actions, reference)


def test_rows_are_copied_and_frozen() -> None:
    actions, outcome = np.random.default_rng(0).normal(size=(20, 1)), np.arange(20.0)
    data = bi.RegimeData.from_arrays(actions, outcome, np.arange(20)[:, None] % 2 == 0)
    actions[:] = 0
    assert np.ptp(data.actions) > 0
    with pytest.raises(ValueError, match="read-only"):
        data.outcome[0] = 1
    columns = (["red", "green"], "intensity", "regime")
    stream = bi.StreamedData.from_batches([frame()], *columns, progress=False)
    for rows in (data, stream):
        rows.regimes.clear()
        assert sum(rows.regimes.values()) == len(rows)


def spoil(column: str, value: object, row: int = 3) -> pd.DataFrame:
    table = frame()
    table[column] = table[column].astype(object)
    table.loc[row, column] = value
    return table.astype({column: float})


BAD_FRAMES = {
    "infinite": (spoil("intensity", np.inf), {}, "'intensity' has 1 infinite cells.*row 3"),
    "text": (frame().assign(red="high"), {}, "'red' never varies: it is 'high' in"),
    "one string": (frame(), {"actions": "red"}, r"write \['red'\]"),
    "no actions": (frame(), {"actions": []}, "at least one action"),
    "repeated": (frame(), {"actions": ["red", "red"]}, "'red' is named twice"),
    "one column twice": (frame(), {"outcome": "red"}, "must be different columns"),
    "two columns": (pd.concat([frame(), frame()[["red"]]], axis=1), {}, "two columns of the same"),
    "numbered columns": (frame(), {"actions": [0, 1]}, "must be names of columns"),
    "number": (frame(), {"actions": 3}, "actions must be a list of columns, not int"),
    "numbered outcome": (frame(), {"outcome": 1}, "outcome must be the name of a column"),
    "huge": (spoil("red", 1e120), {}, "'red' is 1.*10¹²⁰ in row 3, too large"),
    "tiny": (frame().assign(red=lambda f: f["red"] * 1e-120), {}, "'red' varies by no more than"),
    "rounding": (frame().assign(green=lambda f: 1e6 + 1e-9 * f["green"]), {},
                 "'green' never varies except for rounding"),
    "nested labels": (pl.from_pandas(frame()).with_columns(pl.concat_list("regime")), {},
                      "'regime' holds List.*, not labels"),
    "nested groups": (pl.from_pandas(frame()).with_columns(cells=pl.concat_list("red")),
                      {"groups": ["cells"]}, "each row has a 'cells' of its own"),
    "zero character": (frame(), {"actions": ["r\0d", "green"]}, "zero character"),
    "no text": (frame(), {"actions": ["\ud800", "green"]}, "not valid text"),
    "grid": (xr.Dataset({"red": (("x", "y"), np.ones((3, 3)))}), {},
             "one dimension, that of rows; this one has 'x', 'y'"),
    "failing query": (pl.from_pandas(frame()).lazy().with_columns(pl.col("blue")), {},
                      "the LazyFrame cannot be read"),
    "lists": (frame().assign(cells=[[0.5], [1.5]] * 15), {"covariates": ["cells"]},
              "'cells' holds Object, such as .* in row 0"),
    "no frame": ([1, 2, 3], {}, "must be a table .*, not list"),
}  # fmt: skip


@pytest.mark.parametrize(("table", "changes", "message"), BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_unusable_tables_raise(table, changes, message) -> None:
    before = table.copy() if isinstance(table, pd.DataFrame) else table
    with pytest.raises(bi.DataError, match=message):
        bi.fit(read(table, **changes), progress=False)
    if isinstance(table, pd.DataFrame):
        pd.testing.assert_frame_equal(table, before)


def test_error_without_observational_rows_says_whether_the_joint_effect_needs_them() -> None:
    table = frame()
    table["regime"] = ["red", "green", "red+green"] * 10
    with pytest.raises(bi.DataError, match=r"the others identify the effect of .*; add such rows"):
        read(table)
    table["regime"] = ["red", "green"] * 15
    with pytest.raises(bi.DataError, match=r"do not identify the effect of .* pass require_"):
        read(table)
    assert len(read(table, require_observational=False).regimes) == 2


BAD_ARRAYS = {
    "names": ((np.eye(20)[:, :2], np.arange(20), np.zeros((20, 2)), ["a"]), "one entry per action"),
    "flat actions": ((np.ones(20), np.ones(20), np.ones(20)), "actions must have shape"),
    "outcome": ((np.ones((20, 2)), np.ones(19), np.ones((20, 2))), r"outcome must .*\(20,\)"),
    "masked mask": ((np.eye(2), np.ones(2), np.ma.masked_all((2, 2))), "has masked cells; say for"),
    "mask": ((np.ones((20, 2)), np.ones(20), np.ones(20)), r"intervened must .*\(20, 2\)"),
    "mask columns": ((np.eye(2), np.ones(2), pd.DataFrame(np.eye(2)).add_prefix("b"), ["a", "b"]),
                     "intervened has columns 'b0', 'b1', but the actions are 'a', 'b'"),
    "mask values": ((np.ones((20, 2)), np.ones(20), np.full((20, 2), 2)), "hold booleans"),
    "text": (([["a"]] * 20, np.ones(20), np.zeros((20, 1))), "'a1' never varies: it is 'a'"),
    "ragged": (([["a"], []] * 10, np.ones(20), np.ones((20, 1))), "actions must have shape"),
    "complex": ((np.ones((20, 1)) + 1j, np.ones(20), np.ones((20, 1))), "'a1' holds complex, such"),
    "dates": ((np.arange(20).astype("datetime64[D]")[:, None], np.ones(20), np.ones((20, 1))),
              "'a1' holds dates or durations, .*; convert them to numbers of days"),
    "masked": ((np.ma.masked_equal(np.arange(20.0)[:, None], 3), np.arange(20.0), np.ones((20, 1))),
               "'a1' has 1 missing cell"),
}  # fmt: skip
VALUES = np.random.default_rng(0).normal(size=(40, 2))
ARRAYS = (VALUES[:, :1], VALUES[:, 1], np.arange(40)[:, None] % 2 == 0)


@pytest.mark.parametrize(("arrays", "message"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_unusable_arrays_raise(arrays, message) -> None:
    with pytest.raises(bi.DataError, match=message):
        bi.fit(bi.RegimeData.from_arrays(*arrays), progress=False)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"weights": np.ones(39)}, r"weights must have shape \(40,\)"),
        ({"covariates": {"age": np.ones(39)}}, r"covariates: 'age' must have shape \(40,\)"),
        ({"covariates": ["age"]}, r"write covariates=\{'name': values\}"),
        ({"groups": {"a1": np.ones(40)}}, "column 'a1' is passed as actions and groups"),
    ],
)
def test_unusable_arrays_of_other_columns_raise(more, message) -> None:
    with pytest.raises(bi.DataError, match=message):
        bi.RegimeData.from_arrays(*ARRAYS, **more)


def test_a_covariate_may_have_the_name_of_an_argument() -> None:
    values = np.random.default_rng(0).integers(1, 5, size=(2, 40))
    data = bi.RegimeData.from_arrays(*ARRAYS, weights=values[0], covariates={"weights": values[1]})
    np.testing.assert_array_equal([data.weights, data.covariates[:, 0]], values)
    assert bi.RegimeData.from_arrays(*ARRAYS, outcome_name="").outcome_name == ""


def test_only_selects_some_regimes_of_the_data(data) -> None:
    with pytest.raises(bi.DataError, match="regime: unknown action 'blue'"):
        data.only(["blue"])
    with pytest.raises(bi.DataError, match="no rows belong"):
        data.only(["red", "green"])
    with pytest.raises(bi.DataError, match=r"write \['red'\]"):
        data.only("red")


def test_sample_is_balanced_over_regimes_and_contains_extremes() -> None:
    rng = np.random.default_rng(0)
    counts = (5000, 40, 3000)
    masks = np.repeat([[False, False], [True, False], [False, True]], counts, axis=0)
    actions = rng.standard_t(2, size=(sum(counts), 2))
    data = bi.RegimeData.from_arrays(actions, actions.sum(axis=1), masks)
    few = data.sample(500)
    rows = list(few.regimes.values())
    # At most four rows are extremes; the small regime is complete.
    assert rows[1] == 40
    assert all(230 <= n <= 234 for n in (rows[0], rows[2]))
    np.testing.assert_array_equal(few.actions.min(axis=0), actions.min(axis=0))
    np.testing.assert_array_equal(few.actions.max(axis=0), actions.max(axis=0))
    np.testing.assert_array_equal(few.outcome, few.actions.sum(axis=1))
    np.testing.assert_array_equal(few.actions, data.sample(500).actions)
    assert data.sample(len(data)) is data


def kinds(values: list[str]) -> dict[str, object]:
    """Columns of every kind with the same text."""
    order = ["z", "low", "mid", "high"]
    return {
        "text": pd.Series(values),
        "string": pd.Series(values, dtype="string"),
        "categorical": pd.Series(pd.Categorical(values, categories=order)),
        "ordered": pd.Series(pd.Categorical(values, categories=order, ordered=True)),
        "enum": pl.Series(values, dtype=pl.Enum(order)),
        "polars": pl.Series(values, dtype=pl.Categorical),
        "dictionary": pa.array(values).dictionary_encode(),
        "ordered dictionary": pa.DictionaryArray.from_arrays(
            pa.array([order.index(value) for value in values]), pa.array(order), ordered=True
        ),
    }


@pytest.mark.parametrize("kind", kinds(["low"]))
def test_text_and_categorical_columns_have_levels(kind) -> None:
    values = np.random.default_rng(1).choice(["low", "mid", "high"], size=30).tolist()
    column = kinds(values)[kind]
    table = frame()
    if isinstance(column, pa.Array):
        table = pa.Table.from_pandas(table.drop(columns="red")).append_column("red", column)
    elif isinstance(column, pl.Series):
        table = pl.from_pandas(table).with_columns(column.alias("red"))
    else:
        table = table.assign(red=column)
    data = read(table)
    levels, arrays = data.categories[0], (data.actions, data.outcome, data.intervened)
    same = bi.RegimeData.from_arrays(*arrays, covariates={"red": table["red"]})
    assert same.columns.categories == (levels,)
    assert data.categories[1] is None
    assert levels.ordered == (kind in ("ordered", "enum", "ordered dictionary"))
    if levels.ordered or kind == "categorical":
        assert levels.labels == ("low", "mid", "high")
    assert sorted(levels.labels) == ["high", "low", "mid"]
    assert levels.decode(data.actions[:, 0]).tolist() == values
    # Subsets of rows have the levels of all rows.
    first = next(data.batches(3))
    assert first.categories == data.sample(12).categories == data.categories
    assert data.only([]).categories == data.categories


def test_booleans_and_two_numbers_have_levels() -> None:
    rng = np.random.default_rng(1)
    table = frame().assign(red=rng.random(30) < 0.5, green=rng.choice([0.5, 3.0], 30))
    data = read(table)
    assert data.categories[0] == Categories((False, True), (0.0, 1.0), True)
    assert data.categories[1] == Categories((0.5, 3.0), (0.5, 3.0), True)
    np.testing.assert_array_equal(data.actions, table[["red", "green"]].astype(float))
    assert read(frame()).categories == (None, None)
    arrays = (table[["red", "green"]].to_numpy(dtype=object), data.outcome, data.intervened)
    assert bi.RegimeData.from_arrays(*arrays).categories == data.categories
    switches = table[["red"]].to_numpy(), data.outcome, data.intervened[:, :1]
    assert bi.RegimeData.from_arrays(*switches).categories == data.categories[:1]


def test_arrays_may_have_columns_of_text_and_of_numbers() -> None:
    rng = np.random.default_rng(1)
    drug = rng.choice(["off", "on", "both"], 30)
    actions = np.empty((30, 2), dtype=object)
    actions[:, 0], actions[:, 1] = drug, rng.normal(size=30)
    masks = np.zeros((30, 2), dtype=bool)
    data = bi.RegimeData.from_arrays(actions, rng.normal(size=30), masks, ["drug", "dose"])
    assert data.categories[0].labels == ("both", "off", "on")
    assert data.categories[0].decode(data.actions[:, 0]).tolist() == drug.tolist()
    np.testing.assert_array_equal(data.actions[:, 1], actions[:, 1].astype(float))
    refused = "column 'dose' holds text such as .* that reads as numbers"
    with pytest.raises(bi.DataError, match=refused):
        bi.RegimeData.from_arrays(actions.astype(str), rng.normal(size=30), masks, ["drug", "dose"])


def test_two_values_in_a_subset_of_rows_are_not_levels() -> None:
    table = frame()
    table["regime"] = [None, "red"] * 15
    table.loc[table["regime"] == "red", "red"] = [1.0, 2.0, 1.0, 2.0, 2.0] * 3
    data = read(table)
    part = data.only(["red"])
    assert len(np.unique(part.actions[:, 0])) == 2
    assert part.categories == (None, None)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["on", None] * 15, r"'red' has 15 missing cells \(.*the first in row 1\. Fill"),
        (pd.Categorical(["on", None, "off"] * 10), "'red' has 10 missing .*the first in row 1"),
        (
            np.arange(30.0).astype(str),
            "'red' holds text such as '0.0' in row 0 that reads as num.* or make it",
        ),
        (["low", *map(str, range(29))], "'low' in row 0, but 'low' may be missing .* or a number"),
        (["on", "on "] * 15, "'on' and 'on ', which differ by spaces only"),
        (["on", " "] * 15, "'red' has 15 missing cells .* the first in row 1"),
        (["on", "o\0n"] * 15, "zero character"),
        (pd.Series(["on", "\ud800"] * 15, dtype=object), "not valid text"),
        (pd.Categorical(pd.date_range("2020-01-01", periods=30)), "must be text, booleans or"),
        (["on", 1] * 15, "'red' holds Object, such as 'on' in row 0, not numbers"),
        (pd.array([True, None] * 15, dtype="boolean"), "'red' has 15 missing cells"),
    ],
)
def test_columns_of_neither_numbers_nor_levels_raise(column, message) -> None:
    with pytest.raises(bi.DataError, match=message):
        read(frame().assign(red=column))


def test_texts_with_few_numbers_among_them_and_categories_are_levels() -> None:
    for column, labels in (
        (["none", "10", "20"] * 10, ("10", "20", "none")),
        (pd.Categorical(["1", "2"] * 15), ("1", "2")),
    ):
        assert read(frame().assign(red=column)).categories[0].labels == labels


def test_orders_of_levels_in_batches_are_joined_unless_they_contradict() -> None:
    def batch(level: str, *order: str) -> pd.DataFrame:
        return frame().assign(red=pd.Categorical([level] * 30, categories=order, ordered=True))

    columns = (["red", "green"], "intensity", "regime")
    low, high = batch("low", "low", "mid", "high"), batch("high", "low", "high")
    data = bi.StreamedData.from_batches([high, low], *columns, progress=False)
    assert data.categories[0] == Categories(("low", "high"), (0.0, 1.0), True)
    with pytest.raises(bi.DataError, match="'red' orders its levels differently"):
        bi.StreamedData.from_batches([low, batch("high", "high", "low")], *columns)
    # Categories of Polars have no order.
    kind = {"red": pl.Categorical}
    named = [pl.from_pandas(frame().assign(red=level)).cast(kind) for level in ("10", "9")]
    data = bi.StreamedData.from_batches(named, *columns, progress=False)
    assert data.categories[0].labels == ("9", "10")
