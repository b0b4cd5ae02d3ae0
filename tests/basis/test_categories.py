import numpy as np

from bayes_intgen.basis.categories import Categories

DOSE = Categories.of_labels(["low", "mid", "high"], ordered=True)


def test_labels_survive_a_round_trip() -> None:
    for categories, cells in (
        (DOSE, ["high", "low", "mid", "low"]),
        (Categories.of_labels([False, True], ordered=False), [True, False, True]),
        (Categories.of_numbers([10.0, 2.5]), [2.5, 10.0]),
        (Categories.of_labels([3.0, 1.0, 2.0], ordered=True), [2.0, 3.0, 1.0]),
        (Categories.of_labels(["a", 1.0], ordered=False), [1.0, "a"]),
    ):
        codes = categories.encode(cells, "x")
        assert categories.covers(codes).all()
        assert categories.decode(codes).tolist() == cells


def test_codes_increase_and_equal_numeric_labels() -> None:
    assert DOSE.codes == (0.0, 1.0, 2.0)
    assert Categories.of_labels([1.0, 5.0, 20.0], ordered=True).codes == (1.0, 5.0, 20.0)
    # This order is meaningful, and it is not that of the numbers.
    assert Categories.of_labels([3.0, 1.0, 2.0], ordered=True).codes == (0.0, 1.0, 2.0)
    assert Categories.of_labels([7.0, 3.0, 5.0], ordered=False).labels == (3.0, 5.0, 7.0)
    assert Categories.of_labels(["b", "a"], ordered=False).ordered
    assert not Categories.of_labels(["b", "a", "c"], ordered=False).ordered


def test_booleans_and_numbers_may_be_text() -> None:
    switch = Categories.of_labels([False, True], ordered=True)
    assert switch.encode(["true", "False", 1, 0.0, np.True_], "x").tolist() == [1, 0, 1, 0, 1]
    assert Categories.of_numbers([0, 10]).encode(["10", "0.0"], "x").tolist() == [10, 0]
    # Levels that are text match by name only.
    assert Categories.of_labels(["1", "x"], ordered=True).encode(["1"], "x").tolist() == [0]
