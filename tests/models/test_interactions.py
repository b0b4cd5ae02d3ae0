"""Interactions of actions: terms, selection, answers and storage."""

from dataclasses import replace

import numpy as np
import pytest
from _rows import fitted, one_at_a_time, sampled

import bayes_intgen as bi
from bayes_intgen.posterior.surfaces import interaction_sd


def rows(size: float, seed: int = 0, per_regime: int = 400) -> bi.RegimeData:
    """Three confounded actions, of which tv moves radio, and tv interacts with search."""

    def outcome(actions: np.ndarray, causes: np.ndarray) -> np.ndarray:
        return truth(actions, size) + causes @ [0.5, -0.4, 0.3]

    own = [lambda a, c, v, slope=slope: slope * a[:, 0] + c + 0.8 * v for slope in (0.0, 0.5, 0.0)]
    common = {"noise": 0.4, "settings": 1.2, "names": ("tv", "radio", "search")}
    return sampled(own, per_regime, seed, outcome=outcome, **common)


def truth(actions: np.ndarray, size: float) -> np.ndarray:
    own = np.tanh(actions[:, 0]) + 0.5 * actions[:, 1] - 0.3 * actions[:, 2]
    return own + size * np.tanh(actions[:, 0]) * actions[:, 2]


@pytest.fixture(scope="module")
def interacting() -> bi.Posterior:
    return fitted(rows(0.6), draws=100)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(5).uniform(-1.5, 1.5, size=(60, 3))


def test_the_interaction_is_selected_and_no_other(interacting) -> None:
    assert interacting.model.interactions == "auto"
    assert list(interacting.terms.interactions) == [(0, 2)]
    assert not fitted(rows(0.0), draws=100).terms.interactions


def test_intervals_contain_a_product_where_both_actions_are_extreme() -> None:
    additive = rows(0.0, seed=3, per_regime=1000)
    product = 0.3 * additive.actions[:, 0] * additive.actions[:, 2]
    posterior = fitted(replace(additive, outcome=additive.outcome + product))
    # The 1% and 99% quantiles of settings.
    corners = 2.8 * np.array([[1, 0, 1], [-1, 0, -1], [1, 0, -1], [-1, 0, 1]])
    contrast = (posterior.joint_effect(corners) * [1, 1, -1, -1]).sum("point")
    assert abs(float(contrast.mean()) - 4 * 0.3 * 2.8**2) < 2.5 * float(contrast.std())


def test_interactions_average_zero_over_the_values_of_either_action(interacting) -> None:
    data = rows(0.6)
    for k in (0, 2):
        for value in (-1.0, 0.5):
            there = data.actions.copy()
            there[:, k] = value
            psi = interacting.mechanisms(there)["interaction"].isel(pair=0)
            spread = float(psi.std("point").mean())
            # Exact up to rounding, because all rows determined the centres.
            assert float(abs(psi.mean("point")).max()) < 1e-6 * max(spread, 1)


def test_named_pairs_are_in_every_fit(points) -> None:
    data = rows(0.0, per_regime=100)
    model = bi.models.additive(interactions=[("search", "radio")])
    posterior = fitted(data, model, simplify=False, draws=100)
    assert list(posterior.terms.interactions) == [(1, 2)]
    shrunk = fitted(data, model, draws=100)
    assert float(shrunk.mechanisms(points)["interaction"].std("point").mean()) < 0.15
    assert interaction_sd(shrunk)["pair"].to_numpy().tolist() == ["radio, search"]


def test_the_prior_of_a_bias_does_not_change_an_interaction() -> None:
    data, levels = rows(0.0, per_regime=100), {"tv": bi.Levels(ordered=False)}
    data, designs = replace(data, actions=data.actions.round().clip(-2, 2)), []
    for bias in (None, levels):
        model = bi.models.additive(unconfounded=levels, bias=bias, interactions=[("tv", "search")])
        terms = model.decompose(data)
        designs.append(terms.design(data)[:, terms.columns["psi(tv, search)"]])
    np.testing.assert_allclose(*designs)


def test_linear_priors_and_levels_interact() -> None:
    rng, masks = np.random.default_rng(1), one_at_a_time(2, 200)
    level, dose = rng.integers(0, 3, len(masks)), rng.normal(size=len(masks))
    outcome = dose * np.array([0.0, 1.0, -1.0])[level] + 0.3 * rng.normal(size=len(masks))
    actions = np.column_stack([np.array(["a", "b", "c"], dtype=object)[level], dose.astype(object)])
    data = bi.RegimeData.from_arrays(actions, outcome, masks, ("drug", "dose"))
    posterior = fitted(data, bi.models.additive("linear"), draws=100)
    ends = ([[drug, value] for drug in "abc"] for value in (1.0, -1.0))
    slopes = posterior.contrast(*ends).mean(("chain", "draw")) / 2
    np.testing.assert_allclose(slopes, [0.0, 1.0, -1.0], atol=0.15)


def test_lift_tests_measure_an_action_at_average_values_of_the_others() -> None:
    # The interaction averages zero, so that a test of tv informs its own contribution alone.
    data = rows(0.6, per_regime=150)
    test = data.add_lift_test("tv", -1.0, 1.0, effect=1.52, se=0.01)
    model = bi.models.additive(interactions=[("tv", "search")])
    curves = fitted(test, model, draws=100).mechanisms([[-1.0, 0, 0], [1.0, 0, 0]])
    change = curves["unconfounded"].sel(action="tv").diff("point")
    assert float(change.mean()) == pytest.approx(1.52, abs=0.03)
    assert float(change.std()) < 0.02
