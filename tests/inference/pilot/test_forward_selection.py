import jax
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.pilot.pilot import pilot_fit

NAMES = ("a1", "a2", "a3")


def world(product: float, rows: int = 500, seed: int = 0):
    """Three actions; the third is ``product`` times the product of the others, plus its cause."""
    rng = np.random.default_rng(seed)
    masks = np.repeat(np.vstack([np.zeros((1, 3)), np.eye(3)]).astype(bool), rows, axis=0)
    causes = rng.normal(size=masks.shape)
    natural = causes + 0.5 * rng.normal(size=masks.shape)
    actions = np.where(masks, rng.normal(size=masks.shape), natural)
    actions[~masks[:, 2], 2] += product * (actions[:, 0] * actions[:, 1])[~masks[:, 2]]
    outcome = np.tanh(actions).sum(axis=1) + causes.sum(axis=1)
    outcome = outcome + 0.3 * rng.normal(size=len(outcome))
    return bi.RegimeData.from_arrays(actions, outcome, masks, NAMES)


def three_way_terms(data: bi.RegimeData, model: bi.models.AdditiveModel) -> list[str]:
    with jax.enable_x64(True):
        terms = model.decompose(data)
        pilot = pilot_fit(data, model, terms, model.candidates(data), progress=False)
    return [t.name for t in pilot.posterior.terms.terms if len(t.inputs) == 3]


@pytest.mark.parametrize("prior", ["gp", "polynomial"])
def test_product_of_two_parents_is_selected_only_if_it_moves_an_action(prior) -> None:
    model = bi.models.additive(prior)
    assert three_way_terms(world(1.0), model) == ["delta(a3 | a1, a2) interaction"]
    assert three_way_terms(world(0.0), model) == []


def test_graph_restricts_candidates_to_parents() -> None:
    data = world(1.0)
    assert three_way_terms(data, bi.models.additive(graph={"a3": ["a1"]})) == []
    assert three_way_terms(data, bi.models.additive(graph={"a3": ["a1", "a2"]})) == [
        "delta(a3 | a1, a2) interaction"
    ]
    assert bi.models.pooled().candidates(data) == ()
    assert bi.models.additive("linear", interactions=None).candidates(data) == ()
    pairs = [term.name for term in bi.models.additive("linear").candidates(data)]
    assert pairs == ["psi(a1, a2)", "psi(a1, a3)", "psi(a2, a3)"]


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::bayes_intgen.SupportWarning",
    # A fit without candidates does not follow the product, and a cubic does not follow every tail.
    "ignore::bayes_intgen.LackOfFitWarning",
)
def test_a_product_reduces_the_error_of_the_effect() -> None:
    data = world(1.0, rows=1000)
    points = np.random.default_rng(9).normal(size=(300, 3))
    bias = (points[:, 2] - points[:, 0] * points[:, 1]) / 1.25
    truth = np.tanh(points).sum(axis=1) + bias
    errors = {}
    # With a learned graph the mean of the third action given its parents contains the product.
    for graph, simplify in (("any", True), ("any", False), (None, False)):
        posterior = bi.fit(
            data,
            bi.models.additive("polynomial", graph=graph),
            simplify=simplify,
            draws=100,
            warmup=100,
            chains=2,
            progress=False,
        )
        effect = posterior.effect(points, ["a1", "a2"]).mean(("chain", "draw"))
        errors[graph, simplify] = float(np.sqrt(np.mean((effect - truth) ** 2)))
    assert errors["any", True] < 0.5 * errors["any", False], errors
    assert errors[None, False] < 0.5 * errors["any", False], errors
