"""Regression of the functions of biases on likely parents."""

import numpy as np
import pytest
from bayes_intgen.inference.pilot.conditional_means import with_conditional_means

import bayes_intgen as bi
from bayes_intgen.inference.pilot.graph_evidence import with_parents
from bayes_intgen.models.population import Population
from bayes_intgen.models.terms import Decomposition

CHAIN = {"b": ["a"], "c": ["a", "b"]}


def switches(rows: int, seed: int) -> bi.RegimeData:
    """On/off actions, strong edges; hidden causes shift the outcome. The effects are 1."""
    rng = np.random.default_rng(seed)
    masks = np.repeat(np.vstack([np.zeros(3), np.eye(3)]) > 0, rows, axis=0)
    causes, actions = rng.normal(size=(2, *masks.shape))
    for k in range(3):
        moved = 2.5 * (actions[:, :k] - 0.5).sum(axis=1)
        own = 1.5 * causes[:, k] + moved + rng.logistic(size=len(masks)) > 0
        actions[:, k] = np.where(masks[:, k], rng.random(len(masks)) < 0.5, own)
    outcome = actions.sum(axis=1) - causes.sum(axis=1) + 0.5 * rng.normal(size=len(masks))
    return bi.RegimeData.from_arrays(actions, outcome, masks, ("a", "b", "c"))


def decompositions(data, **model) -> tuple[Decomposition, Decomposition]:
    """Decomposition with the probabilities of edges, without and with conditional means."""
    specification = bi.models.additive(**model)
    plain = with_parents(data, specification, specification.decompose(data))
    return plain, with_conditional_means(data, plain)


def bias_columns(terms: Decomposition, k: int, others: tuple[int, ...] = ()) -> np.ndarray:
    """Columns of an action's bias that depend on the action, and on no more than some others."""
    own = [
        np.arange(terms.size)[terms.columns[t.name]]
        for t in terms.terms
        if t.action == k and t.role == "bias" and k in t.inputs and set(t.inputs) <= {k, *others}
    ]
    return np.concatenate(own)


def assert_zero_means(
    plain: Decomposition,
    centred: Decomposition,
    columns: np.ndarray,
    cells: list[np.ndarray],
) -> None:
    """Functions average zero in each cell of inputs with conditional means, and not without."""
    for inputs in cells:
        means = centred.functions(inputs)[:, columns].mean(axis=0)
        np.testing.assert_allclose(means, 0, atol=1e-10)
    # Negative control.
    without = [plain.functions(inputs)[:, columns].mean(axis=0) for inputs in cells]
    assert np.abs(without).max() > 0.1


def test_functions_average_zero_given_the_parents() -> None:
    data = switches(500, seed=0)
    plain, centred = decompositions(data, graph=CHAIN)
    rows = data.actions[~data.intervened[:, 2]]
    cells = [rows[(rows[:, :2] == at).all(axis=1)] for at in ([0, 0], [0, 1], [1, 0], [1, 1])]
    assert_zero_means(plain, centred, bias_columns(centred, 2, (0, 1)), cells)


def with_season(rows: int, seed: int, pull: float = 1.0) -> bi.RegimeData:
    """Actions that follow a season, and hidden causes that shift the outcome."""
    rng = np.random.default_rng(seed)
    masks = np.repeat(np.vstack([np.zeros(2), np.eye(2)]) > 0, rows, axis=0)
    causes, actions = rng.normal(size=(2, *masks.shape))
    season = rng.choice(["dry", "hot", "wet"], len(masks))
    shift = pull * ((season == "hot") + 0.5 * (season == "wet"))
    actions = np.where(masks, 1.5 * actions, causes + shift[:, None])
    outcome = actions.sum(axis=1) + causes.sum(axis=1) + 0.3 * rng.normal(size=len(masks)) + shift
    return bi.RegimeData.from_arrays(
        actions, outcome, masks, ("a", "b"), covariates={"season": season}
    )


@pytest.mark.parametrize("graph", [None, "any"])
def test_functions_average_zero_given_a_covariate(graph) -> None:
    data = with_season(300, seed=0)
    plain, centred = decompositions(data, graph=graph)
    rows = data.inputs[~data.intervened[:, 1]]
    cells = [rows[rows[:, 2] == level] for level in range(3)]
    assert_zero_means(plain, centred, bias_columns(centred, 1), cells)


def test_useless_covariates_change_nothing() -> None:
    data = with_season(300, seed=2)
    rng = np.random.default_rng(5)
    useless = {"age": rng.normal(size=len(data)), "shop": rng.choice(["x", "y", "z"], len(data))}

    def means(**covariates):
        own = bi.RegimeData.from_arrays(
            data.actions, data.outcome, data.intervened, covariates=covariates
        )
        return decompositions(own, graph="any")[1].conditional_means

    assert means(**useless) == ()
    # Negative controls: a smooth covariate and a season that move both actions.
    free = ~data.intervened.any(axis=1)
    usual = np.where(free, data.actions.sum(axis=1), 0) + rng.normal(size=len(data))
    assert [mean.inputs for mean in means(age=usual, shop=useless["shop"])] == [((2,),)] * 2
    season = np.array(["dry", "hot", "wet"])[data.covariates[:, 0].astype(int)]
    assert [mean.inputs for mean in means(**useless, season=season)] == [((4,),)] * 2


def test_averages_over_populations_are_those_of_the_rows() -> None:
    """Two routes: functions averaged by the decomposition, and at every row of a population."""
    data = with_season(300, seed=1)
    _, centred = decompositions(data)
    columns = bias_columns(centred, 0)
    rows = data.covariates[~data.intervened.any(axis=1)]
    others = np.array([[0.0], [0.0], [2.0]])
    shares = np.full(3, 1 / 3)
    point = np.array([[0.7, -0.2]])

    def averaged(values: np.ndarray) -> np.ndarray:
        inputs = np.column_stack([point.repeat(len(values), axis=0), values])
        return centred.functions(inputs)[:, columns].mean(axis=0)

    default = centred.functions(point)[0, columns]
    np.testing.assert_allclose(default, averaged(rows), atol=1e-10)
    given = centred.functions(point, Population(others, shares))[0, columns]
    np.testing.assert_allclose(given, averaged(others), atol=1e-10)
    # Negative control.
    assert np.abs(given - default).max() > 0.1
