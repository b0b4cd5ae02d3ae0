import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from numpyro.handlers import seed, substitute, trace
from numpyro.infer.util import log_density

import bayes_intgen as bi
from bayes_intgen.basis.monomials import MonomialBasis
from bayes_intgen.basis.piecewise_linear import PiecewiseLinear
from bayes_intgen.inference.gaussian.passes import pseudo_observations
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics

from conftest import confounded_rows, marginal_program


@pytest.mark.parametrize("prior", ["gp", "spline", "polynomial", "linear"])
def test_program_mean_is_design_matrix_times_coefficients(prior) -> None:
    data = confounded_rows(20, seed=0)
    model = bi.models.additive(prior=prior)
    terms = model.decompose(data)
    with jax.enable_x64(True):
        program = seed(model.program, jax.random.key(0))
        rows = terms.functions(data.actions), terms.gates(data.intervened), np.ones(len(data))
        sites = trace(program).get_trace(terms, *rows)
        coefficients = np.asarray(sites["coefficients"]["value"])
        mean = (
            np.asarray(sites["outcome"]["fn"].base_dist.loc)
            if hasattr(sites["outcome"]["fn"], "base_dist")
            else np.asarray(sites["outcome"]["fn"].loc)
        )
    expected = terms.matrix(data.actions, data.intervened) @ coefficients
    np.testing.assert_allclose(mean, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("prior", ["gp", "spline", "polynomial", "linear"])
@pytest.mark.parametrize("with_lift_tests", [False, True])
def test_marginalised_program_density_is_the_marginal_likelihood(prior, with_lift_tests) -> None:
    """Chib's identity: p(y | theta) = p(y, beta | theta) / p(beta | y, theta), any beta."""
    data = confounded_rows(20, seed=1)
    if with_lift_tests:
        data = data.add_lift_test("red", -0.5, 0.5, effect=0.9, se=0.05)
        data = data.add_lift_test("green", 0.2, -0.1, effect=-3.0, se=2.0)
    model = bi.models.additive(prior=prior, intercept=(1.5, 0.3))
    terms = model.decompose(data)
    outcome = data.outcome - terms.centre
    relative_sd = np.linspace(0.5, 2, len(data))
    functions = terms.functions(data.actions)
    matrix = terms.matrix(data.actions, data.intervened)
    with jax.enable_x64(True):
        known = pseudo_observations(data, terms)
        sums = SufficientStatistics.over([(matrix, outcome, 1 / relative_sd**2)])._replace(
            known=known
        )
        rng = np.random.default_rng(0)
        theta = {
            "scale": jnp.asarray(rng.uniform(0.2, 1, len(terms.scaled))),
            "lengthscale": jnp.asarray(rng.uniform(0.5, 2, len(terms.lengthscales))),
            "noise_sd": jnp.asarray(0.4),
        }
        priors = model.hyperpriors(terms)
        marginal, _ = log_density(marginal_program, (priors, sums), {}, theta)
        log_sd = priors.log_sd(theta, jnp)
        sd = np.exp(np.asarray(log_sd))
        weights = rng.normal(size=terms.size)
        full, _ = log_density(
            model.program,
            (terms, functions, terms.gates(data.intervened), relative_sd, outcome, known),
            {},
            {**theta, "weights": jnp.asarray(weights)},
        )
    # Posterior precision of the standard normal weights: I + S X'WX S / noise^2.
    scaled = matrix * sd / (0.4 * relative_sd)[:, None]
    target = (outcome - matrix @ priors.mean) / (0.4 * relative_sd)
    if known is not None:
        scaled = np.concatenate([scaled, known.matrix * sd])
        target = np.concatenate([target, known.outcome - known.matrix @ priors.mean])
    precision = np.eye(terms.size) + scaled.T @ scaled
    gap = weights - np.linalg.solve(precision, scaled.T @ target)
    log_conditional = 0.5 * (
        np.linalg.slogdet(precision)[1] - gap @ precision @ gap - terms.size * np.log(2 * np.pi)
    )
    assert float(full) - log_conditional == pytest.approx(float(marginal), rel=1e-9)


def test_program_conditions_on_an_observed_outcome_and_draws_a_missing_one() -> None:
    data = confounded_rows(10, seed=2)
    model = bi.models.additive(prior="linear")
    terms = model.decompose(data)
    rows = terms.functions(data.actions), terms.gates(data.intervened), np.ones(len(data))
    program = substitute(seed(model.program, jax.random.key(0)), {})
    assert not trace(program).get_trace(terms, *rows)["outcome"]["is_observed"]
    observed = trace(program).get_trace(terms, *rows, data.outcome)["outcome"]
    assert observed["is_observed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prior": "forest"}, "unknown prior 'forest'"),
        ({"unconfounded": {"red": "forest"}}, "unknown prior 'forest'"),
        ({"noise": "cauchy"}, "unknown noise 'cauchy'"),
        ({"spread": "wild"}, "unknown spread 'wild'"),
        ({"intercept": (0.0, 0.0)}, "positive sd"),
        ({"graph": {"green": "red"}}, r"graph\['green'\] must be a list"),
        ({"graph": ["red"]}, "graph must map"),
    ],
)
def test_invalid_arguments_raise(arguments, message) -> None:
    with pytest.raises(bi.ModelError, match=message):
        bi.models.additive(**arguments)


def with_levels() -> bi.RegimeData:
    """Data with a binary, a named and a numeric action."""
    rng = np.random.default_rng(0)
    masks = np.repeat(np.vstack([np.zeros((1, 3)), np.eye(3)]).astype(bool), 40, axis=0)
    frame = {
        "promo": rng.integers(0, 2, 160),
        "channel": rng.choice(["mail", "none", "web"], 160),
        "spend": rng.normal(size=160),
    }
    labels = np.array([None, "promo", "channel", "spend"], dtype=object)
    frame["regime"] = labels[np.where(masks.any(axis=1), masks.argmax(axis=1) + 1, 0)]
    frame["sales"] = rng.normal(size=160)
    return bi.RegimeData.from_frame(
        pd.DataFrame(frame), ["promo", "channel", "spend"], "sales", "regime"
    )


@pytest.mark.parametrize("prior", ["gp", "spline", "polynomial", "linear"])
def test_actions_with_levels_have_one_value_per_level_under_any_prior(prior) -> None:
    terms = bi.models.additive(prior).decompose(with_levels())
    bases = {term.name: term.component.basis for term in terms.terms}
    assert isinstance(bases["phi(channel)"], PiecewiseLinear)
    assert bases["phi(channel)"].size == 2
    assert bases["phi(promo)"].size == 1
    # Also as inputs of another action's bias.
    assert isinstance(bases["delta(spend | channel)"], PiecewiseLinear)
    assert not isinstance(bases["delta(channel | spend)"], PiecewiseLinear)


def test_named_levels_reject_priors_for_numbers() -> None:
    with pytest.raises(bi.ModelError, match="'channel' has named levels .*bi.Levels"):
        bi.models.additive(unconfounded={"channel": "gp"}).decompose(with_levels())
    terms = bi.models.additive(
        unconfounded={"channel": bi.Levels(ordered=True), "promo": "linear"}
    ).decompose(with_levels())
    bases = {term.name: term.component.basis for term in terms.terms}
    assert isinstance(bases["phi(promo)"], MonomialBasis)
    assert isinstance(bases["phi(channel)"], PiecewiseLinear)


def test_numeric_actions_accept_levels() -> None:
    rng = np.random.default_rng(0)
    masks = np.repeat([[False, False], [True, False], [False, True]], 30, axis=0)
    doses = np.stack([rng.choice([0.0, 10.0, 50.0], 90), rng.normal(size=90)], axis=1)
    data = bi.RegimeData.from_arrays(doses, rng.normal(size=90), masks, ["dose", "other"])
    levels = {"dose": bi.Levels()}
    terms = bi.models.additive(unconfounded=levels, bias=levels).decompose(data)
    bases = {term.name: term.component.basis for term in terms.terms}
    assert bases["phi(dose)"].knots == (0.0, 10.0, 50.0)
    assert bases["delta(other | dose)"].knots == (0.0, 10.0, 50.0)
