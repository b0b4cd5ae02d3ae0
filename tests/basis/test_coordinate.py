import numpy as np
import pytest

from bayes_intgen.basis.coordinate import Coordinate

RNG = np.random.default_rng(0)
HEAVY = RNG.standard_t(2, size=4000) * 3 + 7
SPEND = np.exp(RNG.normal(size=3000))


def test_coordinate_is_linear_in_the_middle_and_logarithmic_in_the_tails() -> None:
    scale = Coordinate.of(HEAVY)
    near = scale.centre + np.array([-0.5, 0.0, 0.5]) * scale.spread
    np.testing.assert_allclose(scale(near), [-0.5, 0, 0.5], rtol=0.01)
    far = Coordinate(0.0, 1.0, -100.0, 100.0)
    assert far(np.array([20.0]))[0] == pytest.approx(4 * np.arcsinh(5))
    assert far(np.array([1e6]))[0] == far(np.array([100.0]))[0]


@pytest.mark.parametrize("values", [HEAVY, SPEND], ids=["both sides", "from zero"])
def test_inverse_transform(values: np.ndarray) -> None:
    at = Coordinate.of(values)
    again = at.inverse_transform(at.transform(values))
    np.testing.assert_allclose(again, values, rtol=1e-9, atol=1e-9)


def test_distance_outside_the_range_continues_below_an_edge() -> None:
    at = Coordinate.of(SPEND + 0.001)
    assert at.edge > 0
    inside = np.linspace(at.low, at.high, 9)
    np.testing.assert_array_equal(at.distance_outside(inside), 0)
    step = at.edge / 1000
    slope = (at(np.array([at.low + step])) - at(np.array([at.low]))) / step
    below = at.low - np.array([step, 0.5 * at.edge, 1e3])
    np.testing.assert_allclose(at.distance_outside(below), slope * (at.low - below), rtol=1e-3)
    above = 2 * at.high
    assert at.distance_outside(np.array([above])) == at.transform(above) - at.ends[1]
    # Negative control: the transform is constant there.
    np.testing.assert_array_equal(at.transform(below), at.transform(at.low))


def test_spread_is_continuous_in_the_share_of_zeros() -> None:
    """At shares of one half and three quarters, at which plain quartiles jump."""
    spreads = []
    for zeros in np.linspace(0.3, 0.97, 68):
        values = np.concatenate([np.zeros(round(1000 * zeros)), SPEND[: round(1000 * (1 - zeros))]])
        spreads.append(Coordinate.of(values).spread)
    steps = np.abs(np.diff(np.log(spreads)))
    # Tolerance for the sampling error of the median of the other values.
    assert steps.max() < 0.25
    lower, upper = np.quantile(np.where(np.arange(1000) < 760, 0.0, SPEND[:1000]), [0.25, 0.75])
    assert upper == lower, "quartiles of all rows have no spread at all here"


@pytest.mark.parametrize("share", [0.5, 0.24, 0.05])
def test_spread_of_two_values_does_not_depend_on_their_shares(share: float) -> None:
    values = np.where(np.arange(1000) < 1000 * share, 1.0, 0.0)
    assert Coordinate.of(values).spread == pytest.approx(1 / 1.349)


@pytest.mark.parametrize("error", [1e2, 1e4, 1e6, -1e6])
def test_single_outlier_does_not_change_the_coordinate_of_other_rows(error: float) -> None:
    values = RNG.normal(size=3000)
    clean, wrong = Coordinate.of(values), Coordinate.of(np.append(values, error))
    np.testing.assert_allclose(wrong(values), clean(values), atol=0.01)
    assert wrong.low >= values.min()
    assert wrong.high <= values.max()


def test_long_tails_and_small_experiments_are_not_outliers() -> None:
    tail = np.exp(1.5 * RNG.normal(size=3000))
    at = Coordinate.of(tail)
    assert (at.low, at.high) == (tail.min(), tail.max())
    # Nor are the rows of a small experiment at a distant value.
    design = np.concatenate([RNG.normal(size=500), np.full(40, 1e4)])
    assert Coordinate.of(design).high == 1e4


def test_coordinate_is_stretched_near_zero_for_actions_that_start_there() -> None:
    at = Coordinate.of(SPEND)
    assert at.edge > 0
    near, far = np.diff(at(np.array([0.0, 0.1, 3.0, 3.1])))[[0, 2]]
    assert near > 5 * far
    # Negative control: actions that do not start at zero, or have few values.
    assert Coordinate.of(SPEND + 10).edge == 0
    assert Coordinate.of(RNG.normal(size=1000)).edge == 0
    assert Coordinate.of(np.repeat([0.0, 1.0, 2.0], 100)).edge == 0
