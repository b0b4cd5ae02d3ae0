"""Interactions of actions: terms, selection, answers and storage."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import bayes_intgen as bi
from bayes_intgen.posterior.surfaces import interaction_sd

SETTINGS = {"method": "laplace", "draws": 100, "progress": False}
NAMES = ("tv", "radio", "search")


def rows(size: float, seed: int = 0, per_regime: int = 400) -> bi.RegimeData:
    """Three confounded actions, of which tv moves radio, and tv interacts with search."""
    rng = np.random.default_rng(seed)
    masks = np.repeat(np.vstack([np.zeros(3), np.eye(3)]) > 0, per_regime, axis=0)
    causes = rng.normal(size=masks.shape)
    actions = causes + 0.8 * rng.normal(size=masks.shape)
    actions[:, 0] = np.where(masks[:, 0], 1.2 * rng.normal(size=len(masks)), actions[:, 0])
    actions[:, 1] += 0.5 * actions[:, 0]
    for k in (1, 2):
        actions[:, k] = np.where(masks[:, k], 1.2 * rng.normal(size=len(masks)), actions[:, k])
    outcome = truth(actions, size) + causes @ [0.5, -0.4, 0.3] + 0.4 * rng.normal(size=len(masks))
    return bi.RegimeData.from_arrays(actions, outcome, masks, NAMES)


def truth(actions: np.ndarray, size: float) -> np.ndarray:
    own = np.tanh(actions[:, 0]) + 0.5 * actions[:, 1] - 0.3 * actions[:, 2]
    return own + size * np.tanh(actions[:, 0]) * actions[:, 2]


@pytest.fixture(scope="module")
def interacting() -> bi.Posterior:
    return bi.fit(rows(0.6), **SETTINGS)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(5).uniform(-1.5, 1.5, size=(60, 3))


def test_the_interaction_is_selected_and_no_other(interacting) -> None:
    assert interacting.model.interactions == "auto"
    assert list(interacting.terms.interactions) == [(0, 2)]
    assert not bi.fit(rows(0.0), **SETTINGS).terms.interactions


def test_intervals_contain_a_product_where_both_actions_are_extreme() -> None:
    additive = rows(0.0, seed=3, per_regime=1000)
    product = 0.3 * additive.actions[:, 0] * additive.actions[:, 2]
    data = replace(additive, outcome=additive.outcome + product)
    posterior = bi.fit(data, method="laplace", progress=False)
    # The 1% and 99% quantiles of settings.
    corners = 2.8 * np.array([[1, 0, 1], [-1, 0, -1], [1, 0, -1], [-1, 0, 1]])
    effect = posterior.joint_effect(corners)
    contrast = (effect * xr.DataArray([1, 1, -1, -1], dims=effect.dims[-1])).sum(effect.dims[-1])
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
    posterior = bi.fit(data, model, simplify=False, **SETTINGS)
    assert list(posterior.terms.interactions) == [(1, 2)]
    shrunk = bi.fit(data, model, **SETTINGS)
    psi = shrunk.mechanisms(points)["interaction"]
    assert float(psi.std("point").mean()) < 0.15
    assert interaction_sd(shrunk)["pair"].to_numpy().tolist() == ["radio, search"]


def test_linear_priors_and_levels_interact() -> None:
    rng = np.random.default_rng(1)
    masks = np.repeat([[False, False], [True, False], [False, True]], 200, axis=0)
    level = rng.integers(0, 3, len(masks))
    dose = rng.normal(size=len(masks))
    outcome = dose * np.array([0.0, 1.0, -1.0])[level] + 0.3 * rng.normal(size=len(masks))
    actions = np.column_stack([np.array(["a", "b", "c"], dtype=object)[level], dose.astype(object)])
    data = bi.RegimeData.from_arrays(actions, outcome, masks, ("drug", "dose"))
    posterior = bi.fit(data, bi.models.additive("linear"), **SETTINGS)
    ends = ([[drug, value] for drug in "abc"] for value in (1.0, -1.0))
    slopes = posterior.contrast(*ends).mean(("chain", "draw")) / 2
    np.testing.assert_allclose(slopes, [0.0, 1.0, -1.0], atol=0.15)


def test_lift_tests_measure_an_action_at_average_values_of_the_others() -> None:
    # The interaction averages zero, so that a test of tv informs its own contribution alone.
    data = rows(0.6, per_regime=150)
    test = data.add_lift_test("tv", -1.0, 1.0, effect=1.52, se=0.01)
    model = bi.models.additive(interactions=[("tv", "search")])
    own = bi.fit(test, model, **SETTINGS).mechanisms([[-1.0, 0, 0], [1.0, 0, 0]])["unconfounded"]
    change = own.sel(action="tv").diff("point")
    assert float(change.mean()) == pytest.approx(1.52, abs=0.03)
    assert float(change.std()) < 0.02
