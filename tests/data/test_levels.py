import pytest

import bayes_intgen as bi
from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.levels import ColumnLevels


def levels(*labels: str | float, **more: bool) -> ColumnLevels:
    return ColumnLevels(tuple(labels), frozenset(labels), **more)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (levels("0.53", "1e3"), "numbers written as text, such as '0.53'; convert"),
        (levels("n/a", *map(str, range(21))), "not numbers, such as 'n/a'; correct"),
        (
            levels(*(f"user {i}" for i in range(51))),
            "51 levels .*more than the maximum of 50; join rare",
        ),
        (levels("on", "on "), "'on' and 'on ', which differ by spaces only"),
        (levels("on", " "), "cells without text"),
        (levels("on", "o\0n"), "zero character"),
        (levels("on", "\ud800"), "not valid text"),
    ],
)
def test_text_that_cannot_be_levels_raises(column, message) -> None:
    with pytest.raises(bi.DataError, match=message):
        column.categories("x")


def test_columns_with_few_numbers_among_names_are_levels() -> None:
    assert levels("none", "10", "20").categories("x").labels == ("10", "20", "none")
    # A categorical column declares that its cells are names.
    assert levels("1", "2", declared=True).categories("x").labels == ("1", "2")


def test_levels_of_batches_are_merged() -> None:
    one, other = levels("b", "c"), levels("a", "b")
    assert one.merge(other, "x").categories("x").labels == ("a", "b", "c")
    low = ColumnLevels(("low", "mid", "high"), frozenset(["low"]), ordered=True, declared=True)
    high = ColumnLevels(("low", "high"), frozenset(["high"]), ordered=True, declared=True)
    merged = high.merge(low, "x").categories("x")
    assert merged == Categories(("low", "high"), (0.0, 1.0), True)
    back = ColumnLevels(("high", "low"), frozenset(["high"]), ordered=True, declared=True)
    with pytest.raises(bi.DataError, match="'x' orders its levels differently"):
        low.merge(back, "x")
