import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.models.terms import Decomposition

PRIORS = ["gp", "spline", "polynomial", "linear"]


def decomposed(data: bi.RegimeData, **model: object) -> Decomposition:
    return bi.models.additive(**model).decompose(data)


@pytest.mark.parametrize("prior", PRIORS)
def test_a_bias_acts_exactly_where_its_action_was_not_set(data, prior) -> None:
    terms = decomposed(data, prior=prior)
    points = data.actions[:50]
    everything = terms.functions(points)
    for mask in [(0, 0), (1, 0), (0, 1), (1, 1)]:
        matrix = terms.matrix(points, np.tile(np.array(mask, dtype=bool), (50, 1)))
        for term in terms.terms:
            columns = terms.columns[term.name]
            off = term.role == "bias" and mask[term.action]
            expected = 0 * everything[:, columns] if off else everything[:, columns]
            np.testing.assert_array_equal(matrix[:, columns], expected)


def test_the_graph_decides_what_a_bias_depends_on(data) -> None:
    def others(**model: object) -> set[str]:
        return {
            t.name.split(" interaction")[0]
            for t in decomposed(data, **model).terms
            if "|" in t.name
        }

    assert others(graph=None) == {"delta(red | green)", "delta(green | red)"}
    assert others(graph={"green": ["red"]}) == {"delta(green | red)"}
    assert others(graph={}) == set()


def test_terms_read_the_columns_of_their_own_inputs(data) -> None:
    terms = decomposed(data)
    points = data.actions[:20]
    for moved_action, name in enumerate(data.names):
        moved = points.copy()
        moved[:, moved_action] = moved[::-1, moved_action]
        before, after = terms.functions(points), terms.functions(moved)
        for term in terms.terms:
            columns = terms.columns[term.name]
            changes = not np.allclose(before[:, columns], after[:, columns])
            assert changes == (moved_action in term.inputs), (term.name, name)


def test_prior_scales_follow_the_outcomes_units(data) -> None:
    larger = bi.RegimeData.from_arrays(
        data.actions, data.outcome * 1000 + 5e6, data.intervened, data.names
    )
    own, other = decomposed(data), decomposed(larger)
    one, thousand = (terms.hyperpriors(bi.LogNormal(0.5, 1.0)) for terms in (own, other))
    for site in ("scale", "noise_sd"):
        shift = getattr(thousand, site).log_median - getattr(one, site).log_median
        np.testing.assert_allclose(shift, np.log(1000))
    np.testing.assert_array_equal(one.lengthscale.log_median, thousand.lengthscale.log_median)
    assert other.centre == pytest.approx(own.centre * 1000 + 5e6)


def test_priors_of_single_mechanisms(data) -> None:
    terms = decomposed(data, prior="gp", unconfounded={"red": "linear"}, bias={"green": "spline"})
    kinds = {t.name: type(t.component.basis).__name__ for t in terms.terms}
    assert kinds["phi(red)"] == "Powers"
    assert kinds["phi(green)"] == kinds["delta(red)"] == "Sines"
    assert kinds["delta(green)"] == "PenalisedSpline"


def test_a_parent_named_twice_counts_once(data) -> None:
    once, twice = (decomposed(data, graph={"green": p}) for p in (["red"], ["red", "red"]))
    assert [t.name for t in once.terms] == [t.name for t in twice.terms]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"graph": {"green": ["blue"]}}, "graph: unknown action 'blue'"),
        ({"graph": {"green": ["red"], "red": ["green"]}}, "cycle among 'red', 'green'"),
        ({"graph": {"red": ["red"]}}, "cycle among 'red'"),
        ({"bias": {"blue": "gp"}}, "bias gives a prior for 'blue'"),
    ],
)
def test_models_that_do_not_fit_the_data_are_refused(data, model, message) -> None:
    with pytest.raises(bi.ModelError, match=message):
        decomposed(data, **model)


def test_contributions_of_an_action_share_a_lengthscale_unless_their_priors_differ(data) -> None:
    shared = decomposed(data)
    assert list(shared.lengthscales) == ["red", "green"]
    assert shared.lengthscale_of["phi(red)"] == shared.lengthscale_of["delta(red)"] == "red"
    own = decomposed(data, bias={"red": bi.GP(kernel="matern32")})
    assert list(own.lengthscales) == ["red", "green", "delta(red)"]
    assert own.lengthscale_of["delta(red)"] == "delta(red)"
    assert decomposed(data, prior="spline").lengthscales == {}
