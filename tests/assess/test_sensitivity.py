import matplotlib.pyplot as plt
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.assess.sensitivity import bounds, interaction_bound
from bayes_intgen.posterior.draws import support_of


class Family:
    """Random member of the family, with the biases and the error of a fit at one point.

    Computed by conditioning of normal distributions, without the identities of the module.
    """

    def __init__(self, rng: np.random.Generator, extreme: bool) -> None:
        count = int(rng.integers(2, 6))
        self.rho = float(rng.uniform(0, 0.95))
        share = rng.choice([-1, 1], count) if extreme else rng.uniform(-1, 1, count)
        shared = share * np.sqrt(self.rho)
        reliability = np.ones(count) if extreme else rng.uniform(0.05, 1, count)
        effects, causes = rng.normal(size=count), np.outer(shared, shared)
        np.fill_diagonal(causes, 1.0)
        signals = causes.copy()
        np.fill_diagonal(signals, 1 / reliability + 1e-12)

        def means(indices: list[int]) -> np.ndarray:
            """b'E[C | s] as a linear function of all signals."""
            out = np.zeros(count)
            inside = signals[np.ix_(indices, indices)]
            out[indices] = effects @ causes[:, indices] @ np.linalg.inv(inside)
            return out

        every = list(range(count))
        observed = means(every)
        without_each = np.array([means([i for i in every if i != j]) for j in every])
        at = np.linalg.cholesky(signals) @ rng.normal(size=count)
        self.delta = (observed - without_each) @ at
        self.sd = np.sqrt(
            np.einsum("ij,jk,ik->i", observed - without_each, signals, observed - without_each)
        )
        self.error = without_each.sum(axis=0) @ at - (count - 1) * observed @ at


def test_bounds_contain_the_error_over_the_whole_family() -> None:
    rng, reached = np.random.default_rng(0), 0.0
    for i in range(2000):
        one = Family(rng, extreme=i % 2 == 0)
        above, below = (b[0, 0] for b in bounds(one.delta[:, None], one.sd, np.array([one.rho])))
        assert -below - 1e-9 <= one.error <= above + 1e-9
        reached = max(reached, one.error / above if one.error > 0 else -one.error / below)
    # Two actions whose signals are their causes attain the bound.
    assert reached > 0.999


def test_bounds_fail_for_too_small_a_correlation() -> None:
    rng, outside = np.random.default_rng(1), 0
    for _ in range(400):
        one = Family(rng, extreme=True)
        above, below = bounds(one.delta[:, None], one.sd, np.array([one.rho / 5]))
        outside += not -below[0, 0] <= one.error <= above[0, 0]
    assert outside > 200


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_bounds_contain_the_truth_of_worlds_with_a_shared_cause() -> None:
    base = bi.simulators.DoseResponse.random(2, seed=1)
    world = bi.simulators.SharedConfounder(base, 0.6)
    fitted = bi.fit(world.dataset(3000, seed=2), draws=200, warmup=150, chains=1, progress=False)
    points, _ = base.sample(base.names, 400, np.random.default_rng(3))
    points = points[fitted.joint_effect(points)["supported"].to_numpy()]
    truth, bounded = world.joint_effect(points), fitted.sensitivity(points, [0.0, 0.1, 0.6])
    coverage = ((bounded.low < truth) & (truth < bounded.high)).mean("point").to_numpy()
    assert coverage[2] > 0.95
    assert coverage[0] < 0.6
    assert coverage[0] <= coverage[1] < 0.9


def test_bounds_are_of_the_biases_at_points_and_over_rows(posterior) -> None:
    points = np.array([[0.0, 0.0], [1.0, -0.5]])
    result = posterior.sensitivity(points, [0.0, 0.2], level=0.8)
    low, high = posterior.joint_effect(points).quantile([0.1, 0.9], ("chain", "draw")).to_numpy()
    np.testing.assert_allclose((result.low.sel(rho=0), result.high.sel(rho=0)), (low, high))
    assert not result.above.sel(rho=0).any()
    # One draw by hand.
    mechanisms = posterior.mechanisms(points).isel(chain=0, draw=0)
    rows = support_of(posterior).reference.rows[0]
    along = posterior.mechanisms(rows).isel(chain=0, draw=0)
    delta = (mechanisms.confounded - mechanisms.unconfounded).to_numpy()
    sd = np.sqrt(((along.confounded - along.unconfounded) ** 2).mean("point")).to_numpy()
    above, _ = bounds(delta, sd, np.array([0.2]))
    # With two actions: v - 1 = rho^2 / (1 - rho^2), v rho = rho / (1 - rho^2).
    pair = np.abs(sd[0] * delta[1] / sd[1] + sd[1] * delta[0] / sd[0])
    expected = (0.04 * np.clip(delta, 0, None).sum(axis=0) + 0.2 * pair) / 0.96
    np.testing.assert_allclose(above[0], expected)


def test_invalid_correlations_are_rejected(posterior) -> None:
    for rho in (-0.1, [0.2, 1.0], [[0.1]], "much", np.nan):
        with pytest.raises(bi.PointsError, match="rho must be"):
            posterior.sensitivity([[0, 0]], rho)
    with pytest.raises(bi.PointsError, match="level must lie"):
        posterior.sensitivity([[0, 0]], 0.1, level=90)


def test_picture_has_a_band_per_point(posterior) -> None:
    figure = posterior.plot_sensitivity([[0.5, 0.2], [0.0, 0.1]], [0, 0.3])
    result = posterior.sensitivity([[0.5, 0.2]], 0.3)
    corners = figure.axes[0].collections[0].get_paths()[0].vertices
    ends = corners[np.isclose(corners[:, 0], 0.3), 1]
    assert (ends.min(), ends.max()) == pytest.approx((result.low.item(), result.high.item()))
    assert [ax.get_title() for ax in figure.axes] == [
        "red = 0.5, green = 0.2", "red = 0, green = 0.1",
    ]  # fmt: skip
    plt.close("all")


def test_bound_of_interacting_causes_contains_the_error_and_a_smaller_one_does_not() -> None:
    """Normal causes with products, by the regressions of each cause on its signal."""
    rng, outside = np.random.default_rng(2), 0
    for _ in range(500):
        count = int(rng.integers(2, 6))
        effects, reliability = rng.normal(size=count), rng.uniform(0.05, 1, count)
        given_signal = np.sqrt(reliability) * rng.normal(size=count)
        products = np.triu(rng.uniform(-1, 1, (count, count)), 1)
        history = given_signal @ products @ given_signal
        without = [np.where(np.arange(count) == k, 0, given_signal) for k in range(count)]
        error = sum(own @ products @ own for own in without) - (count - 1) * history
        sd = np.abs(effects) * np.sqrt(reliability)
        sd_of_products = np.abs(products) * np.sqrt(np.outer(reliability, reliability))
        gamma = (sd_of_products / np.sqrt(np.outer(sd, sd))).max()
        bound = interaction_bound((effects * given_signal)[:, None], sd)[0]
        assert abs(error) <= gamma * bound + 1e-9
        outside += abs(error) > gamma * bound / 10
    assert outside > 250


def test_interacting_causes_move_the_effect_in_both_directions(posterior) -> None:
    points = [[0.0, 0.0], [1.0, -0.5]]
    alone, both = (posterior.sensitivity(points, [0.0, 0.2], interaction=g) for g in (0.0, 0.3))
    more = both - alone
    np.testing.assert_allclose(more.above, more.below)
    np.testing.assert_allclose(more.above.sel(rho=0), more.above.sel(rho=0.2))
    assert (more.above > 0).all()
    assert (more.low < 0).all()
    for size in (-0.1, np.nan, "much"):
        with pytest.raises(bi.PointsError, match="interaction must be"):
            posterior.sensitivity(points, interaction=size)
