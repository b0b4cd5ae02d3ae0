import warnings

import numpy as np
import pytest
import xarray as xr
from _sources import pieces
from test_streamed import COLUMNS, table

import bayes_intgen as bi
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.models.variance_function import VarianceFunction

from _posteriors import data_with_levels
from conftest import confounded_rows

POINTS = [[-1.0, 0.0], [1.0, 0.0]]
LINEAR = bi.models.additive("linear", graph={"green": ["red"]})


def without_red(rows: int = 200, seed: int = 3) -> bi.RegimeData:
    """Rows in which red was never set; the joint effect is sin(red) + green / 2."""
    return confounded_rows(rows, seed).only([], ["green"])


def contrast(posterior: bi.Posterior) -> xr.DataArray:
    """Draws of the change of the effect from red at -1 to red at 1."""
    with warnings.catch_warnings(action="ignore", category=bi.SupportWarning):
        effect = posterior.joint_effect(POINTS)
    return effect[..., 1] - effect[..., 0]


def fitted(data: bi.RegimeData) -> bi.Posterior:
    with warnings.catch_warnings(action="ignore", category=bi.BayesIntgenWarning):
        return bi.fit(data, LINEAR, method="laplace", draws=500, progress=False)


def test_adding_a_test_leaves_the_data_unchanged(data) -> None:
    tested = data.add_lift_test("red", 0, 1, effect=0.8, se=0.1)
    again = tested.add_lift_test("green", 1, 0, effect=-0.5, se=0.2)
    assert [len(d.lift_tests) for d in (data, tested, again)] == [0, 1, 2]
    assert again.actions is data.actions
    assert again.only([], ["red"]).lift_tests == again.sample(100).lift_tests == again.lift_tests
    assert next(again.batches(10)).lift_tests == again.lift_tests
    assert repr(again).endswith(
        "  lift test of red: +0.8 (se 0.1) from 0 to 1\n"
        "  lift test of green: \N{MINUS SIGN}0.5 (se 0.2) from 1 to 0"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("blue", 0, 1, 1, 1), "unknown action 'blue'; the actions are 'red', 'green'"),
        (("red", "low", 1, 1, 1), "x_from must be a finite number, not 'low'"),
        (("red", 0, 1, None, 1), "effect must be a finite number, not None"),
        (("red", 0, np.nan, 1, 1), "x_to must be a finite number"),
        (("red", 0, 1, np.inf, 1), "effect must be a finite number"),
        (("red", 0, 1e3, 1, 1), "x_to is 1,000, and action 'red' is between"),
        (("red", 1, 1, 1, 1), "both 1"),
        (("red", 0, 1, 1, 0), "se must be positive"),
        (("red", 0, 1, 1, -1), "se must be positive"),
        (("red", 0, 1, 1, 1e-9), "se must be positive and above"),
    ],
)
def test_invalid_tests_raise(data, arguments, message) -> None:
    with pytest.raises(bi.DataError, match=message):
        data.add_lift_test(*arguments)


def test_selecting_regimes_without_the_range_of_a_test_raises(data) -> None:
    low, high = data.only([]).actions[:, 0].min(), data.actions[:, 0].min()
    assert high < low
    tested = data.add_lift_test("red", float(high), 0.0, effect=0.8, se=0.1)
    with pytest.raises(bi.DataError, match="x_from"):
        tested.only([])


def test_regressions_do_not_take_lift_tests(data) -> None:
    tested = data.add_lift_test("red", 0, 1, effect=0.8, se=0.1)
    for model in (bi.models.pooled("linear"), bi.models.saturated("linear")):
        with pytest.raises(bi.ModelError, match="only models.additive"):
            bi.fit(tested, model, progress=False)


def test_posterior_combines_prior_and_lift_test() -> None:
    data = without_red()
    before = contrast(fitted(data))
    effect, se = 1.6, 0.05
    posterior = fitted(data.add_lift_test("red", -1, 1, effect, se))
    after = contrast(posterior)
    # The product of a normal prior predictive and the test, whose standard error is smaller.
    weight = float(before.var()) / (float(before.var()) + se**2)
    expected = weight * effect + (1 - weight) * float(before.mean())
    assert float(before.std()) > 4 * se
    draws = after.size
    assert float(after.std()) == pytest.approx(se * np.sqrt(weight), rel=6 / np.sqrt(2 * draws))
    assert float(after.mean()) == pytest.approx(expected, abs=6 * se / np.sqrt(draws))
    # The test does not determine the level of the effect.
    with pytest.warns(bi.SupportWarning, match="lift tests tell how it changes, not its level"):
        level = posterior.joint_effect(POINTS)
    assert float(level.std(("chain", "draw")).min()) > 2 * se
    recorded = posterior.tree["constant_data"]
    assert recorded["lift_of"].to_numpy().tolist() == ["red"]
    values = [recorded[f"lift_{name}"].item() for name in ("from", "to", "effect", "se")]
    assert values == [-1, 1, effect, se]


def test_streamed_data_carry_lift_tests() -> None:
    frame = table(300)
    whole, stream = (bi.read(rows, *COLUMNS, progress=False) for rows in (frame, pieces(frame)))
    tested = [d.add_lift_test("x", -1, 1, effect=2.5, se=0.1) for d in (whole, stream)]
    assert not stream.lift_tests
    assert len(tested[1].lift_tests) == len(tested[1].in_memory.lift_tests) == 1
    assert "lift test of x" in repr(tested[1])
    terms = bi.models.additive("linear").decompose(whole)
    one, other = (sufficient_statistics(d, terms, VarianceFunction(), False).known for d in tested)
    for value, same in zip(one, other, strict=True):
        np.testing.assert_array_equal(value, same)
    assert sufficient_statistics(stream, terms, VarianceFunction(), False).known is None


def test_lift_tests_between_levels_name_them() -> None:
    data = data_with_levels().add_lift_test("drug", "placebo", "b", effect=1.0, se=0.2)
    (test,) = data.lift_tests
    assert (test.x_from, test.x_to) == (2.0, 1.0)
    assert "from 'placebo' to 'b'" in repr(data)
    assert data.only([], ["drug"]).lift_tests == data.lift_tests
    with pytest.raises(bi.DataError, match="'drug' has no level 'c'"):
        data.add_lift_test("drug", "placebo", "c", effect=1.0, se=0.2)
