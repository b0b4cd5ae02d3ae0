import jax
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.condense import TermLikelihood
from bayes_intgen.noise import ConstantSpread
from bayes_intgen.passes import sums_over
from bayes_intgen.pilot import pilot_fit
from bayes_intgen.screening import left_over

NAMES = ("a1", "a2", "a3")


def world(product: float, rows: int = 500, seed: int = 0):
    """Three actions; the third is the product of the others, times the dial, and its cause."""
    rng = np.random.default_rng(seed)
    masks = np.repeat(np.vstack([np.zeros((1, 3)), np.eye(3)]).astype(bool), rows, axis=0)
    causes = rng.normal(size=masks.shape)
    left_alone = causes + 0.5 * rng.normal(size=masks.shape)
    actions = np.where(masks, rng.normal(size=masks.shape), left_alone)
    actions[~masks[:, 2], 2] += product * (actions[:, 0] * actions[:, 1])[~masks[:, 2]]
    outcome = np.tanh(actions).sum(axis=1) + causes.sum(axis=1)
    outcome = outcome + 0.3 * rng.normal(size=len(outcome))
    return bi.RegimeData.from_arrays(actions, outcome, masks, NAMES)


def found(data: bi.RegimeData, model: bi.models.AdditiveModel) -> list[str]:
    with jax.enable_x64(True):
        terms = model.decompose(data)
        pilot = pilot_fit(data, data, model, terms, model.candidates(data), progress=False)
    return [t.name for t in pilot.posterior.terms.terms if len(t.inputs) == 3]


@pytest.mark.parametrize("prior", ["gp", "polynomial"])
def test_a_product_of_two_parents_joins_where_it_moves_an_action(prior) -> None:
    model = bi.models.additive(prior)
    assert found(world(1.0), model) == ["delta(a3 | a1, a2) interaction"]
    assert found(world(0.0), model) == []


def test_a_known_graph_leaves_only_parents_to_ask_for() -> None:
    data = world(1.0)
    assert found(data, bi.models.additive(graph={"a3": ["a1"]})) == []
    assert found(data, bi.models.additive(graph={"a3": ["a1", "a2"]})) == [
        "delta(a3 | a1, a2) interaction"
    ]
    assert bi.models.pooled().candidates(data) == ()
    assert bi.models.additive("linear").candidates(data) == ()


def test_what_is_left_is_the_likelihood_in_the_joint_posterior() -> None:
    """Against the posterior of all coefficients together, its prior taken out again."""
    data, model = world(1.0), bi.models.additive("polynomial")
    with jax.enable_x64(True):
        terms = model.decompose(data)
        chosen = model.candidates(data)[2:]
        wider = terms.and_terms(chosen)
        sums = sums_over(data, wider, ConstantSpread(), progress=False)
        narrow = Collapsed.of(model, terms, sums.of_columns(np.arange(terms.size)))
        sites = {name: np.exp(v) for name, v in narrow.priors.start.items()}
        both = Collapsed.of(model, wider, sums)
        every = {name: np.exp(v) for name, v in both.priors.start.items()}
        mean, covariance = both.moments(every)
        left = TermLikelihood.of_information(*left_over(narrow, sites, sums))
    own = wider.columns[chosen[0].name]
    scale = float(every["scale"][wider.scaled.index(chosen[0].name)])
    direct = TermLikelihood.of(mean[own], covariance[own, own], scale)
    grid = np.linspace(-6, 1, 8)
    np.testing.assert_allclose(left.log_ratio(grid), direct.log_ratio(grid), rtol=1e-6)


def test_the_bias_follows_a_product_of_two_parents() -> None:
    data = world(1.0, rows=1000)
    points = np.random.default_rng(9).normal(size=(300, 3))
    bias = (points[:, 2] - points[:, 0] * points[:, 1]) / 1.25
    truth = np.tanh(points).sum(axis=1) + bias
    errors = {}
    for simplify in (True, False):
        posterior = bi.fit(
            data,
            bi.models.additive("polynomial"),
            simplify=simplify,
            draws=100,
            warmup=100,
            chains=2,
            progress=False,
        )
        effect = posterior.effect(points, ["a1", "a2"]).mean(("chain", "draw"))
        errors[simplify] = float(np.sqrt(np.mean((effect - truth) ** 2)))
    assert errors[True] < 0.5 * errors[False], errors
