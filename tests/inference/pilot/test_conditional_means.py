"""Regression of the functions of biases on likely parents."""

from dataclasses import replace

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.api import decomposed_fit
from bayes_intgen.inference.pilot.conditional_means import with_conditional_means
from bayes_intgen.inference.pilot.graph_evidence import with_parents
from bayes_intgen.models.population import Population
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.posterior.draws import prediction_of

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


def test_models_contain_the_same_functions() -> None:
    data = bi.simulators.Polynomial.random(3, seed=3).dataset(300, seed=1)
    plain, centred = decompositions(data, graph={"a1": [], "a2": ["a1"], "a3": ["a1", "a2"]})
    one, other = (own.matrix(data.actions, data.intervened)[:, 1:] for own in (plain, centred))
    assert not np.allclose(one, other)
    together = np.linalg.matrix_rank(np.hstack([one, other]), rtol=1e-9)
    # Products of functions of two parents are in no bias.
    pairs = centred.conditional_means[1].bases[-1].size
    assert together - np.linalg.matrix_rank(one, rtol=1e-9) <= pairs
    unknown = replace(plain, parents=None)
    assert with_conditional_means(data, unknown) is unknown


def test_without_likely_parents_or_rows_nothing_changes() -> None:
    data = switches(500, seed=0)
    for model in ({"graph": {}}, {"graph": "any"}):
        assert decompositions(data, **model)[1].conditional_means == ()
    # One function of a parent and the intercept need twenty rows.
    assert decompositions(switches(6, seed=0), graph=CHAIN)[1].conditional_means == ()
    assert len(decompositions(switches(10, seed=0), graph=CHAIN)[1].conditional_means) == 2


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


def test_a_season_that_moves_actions_needs_no_term_of_its_own(monkeypatch) -> None:
    """Biases are linear in the action less its season. The effects are 1."""
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    terms = {}
    for name in ("with", "without"):
        if name == "without":
            monkeypatch.setattr(
                decomposed_fit, "with_conditional_means", lambda _, terms, *rest: terms
            )
        fit = bi.fit(
            with_season(200, seed=0, pull=3.0),
            bi.models.additive(graph="any"),
            method="laplace",
            progress=False,
        )
        means = prediction_of(fit).mean(points, np.ones((3, 2), bool))
        change = means[..., 1:] - means[..., :1]
        assert (np.abs(change.mean(axis=(0, 1)) - 1) < 3.5 * change.std(axis=(0, 1))).all()
        terms[name] = [term.name for term in fit.terms.terms]
    assert not any("| season" in term for term in terms["with"])
    # Negative control: forward selection has to add them.
    assert {"delta(a | season)", "delta(b | season)"} < set(terms["without"])


def test_cells_have_the_conditional_means_of_their_rows() -> None:
    data = switches(500, seed=0)
    listed = np.column_stack([data.intervened, data.actions])
    first, cell, sizes = np.unique(
        listed, axis=0, return_index=True, return_inverse=True, return_counts=True
    )[1:]
    outcome = np.bincount(cell.ravel(), data.outcome) / sizes
    kinds = {}
    for name, sd in (("cells", np.ones(len(first))), ("regions", None)):
        cells = bi.RegimeData.from_arrays(
            data.actions[first],
            outcome,
            data.intervened[first],
            data.names,
            weights=sizes,
            outcome_sd=sd,
        )
        kinds[name] = decompositions(cells, graph=CHAIN)[1].conditional_means
    expected = decompositions(data, graph=CHAIN)[1].conditional_means
    assert len(kinds["cells"]) == len(expected) == 2
    for one, other in zip(kinds["cells"], expected, strict=True):
        for own, theirs in zip(one.coefficients, other.coefficients, strict=True):
            np.testing.assert_allclose(own, theirs, atol=1e-8)
    # Negative control: units that may have moved together are too few.
    assert len(kinds["regions"]) < 2


@pytest.mark.slow
def test_effects_are_more_precise(monkeypatch) -> None:
    errors = {}
    points = np.vstack([np.zeros(3), np.eye(3)])
    for name in ("with", "without"):
        if name == "without":
            monkeypatch.setattr(
                decomposed_fit, "with_conditional_means", lambda _, terms, *rest: terms
            )
        own = []
        for seed in range(8):
            model = bi.models.additive(graph=CHAIN)
            fit = bi.fit(switches(300, seed), model, draws=100, chains=2, progress=False)
            means = prediction_of(fit).mean(points, np.ones((4, 3), bool)).mean(axis=(0, 1))
            own.append(means[1:] - means[0] - 1)
        errors[name] = np.sqrt(np.mean(np.square(own)))
    assert errors["with"] < 0.9 * errors["without"]


def test_earlier_means_are_replaced() -> None:
    data = switches(300, seed=0)
    half = data.take(np.arange(len(data)) % 2 == 0)
    plain, expected = decompositions(data, graph=CHAIN)
    earlier = with_conditional_means(half, plain)
    again = with_conditional_means(data, earlier)
    at = data.inputs[:50], data.intervened[:50]
    np.testing.assert_array_equal(again.matrix(*at), expected.matrix(*at))
    assert np.abs(earlier.matrix(*at) - expected.matrix(*at)).max() > 1e-3


def test_means_of_a_sample_are_those_of_all_rows() -> None:
    # In batches of one regime each, some of which have no rows with a bias.
    data = switches(3000, seed=0)
    plain, expected = decompositions(data, graph=CHAIN)
    sample = data.take(np.arange(len(data)) % 8 == 0)
    at = data.inputs[:50], data.intervened[:50]
    every, of_sample = (
        with_conditional_means(sample, plain, *rows).matrix(*at) for rows in ((data,), ())
    )
    np.testing.assert_allclose(every, expected.matrix(*at), atol=1e-12)
    # Negative control.
    assert np.abs(of_sample - every).max() > 1e-3
    # Least squares on the design matrix of the rows.
    free = ~data.intervened[:, 2]
    mean = expected.conditional_means[-1]
    (own,) = [term for term in plain.terms if term.name == mean.terms[0]]
    a, b = data.actions[free, :2].T
    design = np.column_stack([np.ones(free.sum()), a, b, a * b])
    responses = replace(plain, terms=(own,)).functions(data.inputs[free])
    fitted = design @ np.linalg.lstsq(design, responses)[0]
    centred = replace(expected, terms=(own,)).functions(data.inputs[free])
    np.testing.assert_allclose(responses - centred, fitted, atol=1e-10)
