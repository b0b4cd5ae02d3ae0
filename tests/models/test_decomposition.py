import gc
import weakref
from collections.abc import Iterable

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.hsgp import HSGPBasis
from bayes_intgen.basis.monomials import MonomialBasis
from bayes_intgen.basis.spline import PenalisedSpline
from bayes_intgen.models.terms import Decomposition, Term

from conftest import confounded_rows

PRIORS = ["gp", "spline", "polynomial", "linear"]


def decompose(data: bi.RegimeData, **model: object) -> Decomposition:
    return bi.models.additive(**model).decompose(data)


@pytest.mark.parametrize("prior", PRIORS)
def test_bias_acts_only_where_its_action_was_not_set(data, prior) -> None:
    terms = decompose(data, prior=prior)
    points = data.actions[:50]
    functions = terms.functions(points)
    for mask in [(0, 0), (1, 0), (0, 1), (1, 1)]:
        matrix = terms.matrix(points, np.tile(np.array(mask, dtype=bool), (50, 1)))
        for term in terms.terms:
            columns = terms.columns[term.name]
            off = term.role == "bias" and mask[term.action]
            expected = 0 * functions[:, columns] if off else functions[:, columns]
            np.testing.assert_array_equal(matrix[:, columns], expected)


def test_graph_determines_the_inputs_of_a_bias(data) -> None:
    def others(**model: object) -> set[str]:
        return {
            t.name.split(" interaction")[0] for t in decompose(data, **model).terms if "|" in t.name
        }

    assert others(graph=None) == {"delta(red | green)", "delta(green | red)"}
    assert others(graph={"green": ["red"]}) == {"delta(green | red)"}
    assert others(graph={}) == set()


def test_terms_depend_on_their_inputs_only(data) -> None:
    terms = decompose(data)
    points = data.actions[:20]
    for moved_action, name in enumerate(data.names):
        moved = points.copy()
        moved[:, moved_action] = moved[::-1, moved_action]
        before, after = terms.functions(points), terms.functions(moved)
        for term in terms.terms:
            columns = terms.columns[term.name]
            changes = not np.allclose(before[:, columns], after[:, columns])
            assert changes == (moved_action in term.inputs), (term.name, name)


def test_prior_scales_adapt_to_the_units_of_the_outcome(data) -> None:
    larger = bi.RegimeData.from_arrays(
        data.actions, data.outcome * 1000 + 5e6, data.intervened, data.names
    )
    own, other = decompose(data), decompose(larger)
    one, thousand = (terms.hyperpriors(bi.LogNormal(0.5, 1.0)) for terms in (own, other))
    for site in ("scale", "noise_sd"):
        shift = getattr(thousand, site).log_median - getattr(one, site).log_median
        np.testing.assert_allclose(shift, np.log(1000))
    np.testing.assert_array_equal(one.lengthscale.log_median, thousand.lengthscale.log_median)
    assert other.centre == pytest.approx(own.centre * 1000 + 5e6)


def test_priors_of_single_mechanisms_override_the_default(data) -> None:
    terms = decompose(data, prior="gp", unconfounded={"red": "linear"}, bias={"green": "spline"})
    kinds = {t.name: type(t.component.basis) for t in terms.terms}
    assert kinds["phi(red)"] is MonomialBasis
    assert kinds["phi(green)"] is kinds["delta(red)"] is HSGPBasis
    assert kinds["delta(green)"] is PenalisedSpline


def test_duplicate_parents_count_once(data) -> None:
    once, twice = (decompose(data, graph={"green": p}) for p in (["red"], ["red", "red"]))
    assert [t.name for t in once.terms] == [t.name for t in twice.terms]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"graph": {"green": ["blue"]}}, "graph: unknown action 'blue'"),
        ({"graph": {"green": ["red"], "red": ["green"]}}, "cycle among 'red', 'green'"),
        ({"graph": {"red": ["red"]}}, "cycle among 'red'"),
        ({"bias": {"blue": "gp"}}, "bias has a prior for unknown action 'blue'"),
    ],
)
def test_models_that_do_not_match_the_data_raise(data, model, message) -> None:
    with pytest.raises(bi.ModelError, match=message):
        decompose(data, **model)


def test_contributions_of_an_action_share_a_lengthscale_if_their_priors_are_equal(data) -> None:
    shared = decompose(data)
    assert list(shared.lengthscales) == ["red", "green"]
    assert shared.lengthscale_of["phi(red)"] == shared.lengthscale_of["delta(red)"] == "red"
    own = decompose(data, bias={"red": bi.GP(kernel="matern32")})
    assert list(own.lengthscales) == ["red", "green", "delta(red)"]
    assert own.lengthscale_of["delta(red)"] == "delta(red)"
    assert decompose(data, prior="spline").lengthscales == {}


def _bases(terms: Iterable[Term]) -> list[Basis]:
    return [factor for t in terms for factor in getattr(t.component.basis, "factors", ())]


def test_terms_and_candidates_share_bases_while_the_rows_exist() -> None:
    data, model = confounded_rows(100, seed=3), bi.models.additive("spline")
    terms, candidates = model.decompose(data).terms, model.candidates(data)
    own = _bases(terms)
    pairs = [t for t in candidates if t.role == "interaction"]
    shared = _bases(t for t in pairs if not t.component.label)
    assert shared
    assert all(any(basis is other for other in own) for basis in shared)
    finer, tests = _bases(t for t in pairs if t.component.label), _bases(model.fit_tests(data))
    assert finer
    assert all(any(basis is other for other in tests) for basis in finer)
    # Negative control: other rows, and another prior, have bases of their own.
    for others in (
        model.decompose(confounded_rows(100, seed=4)),
        bi.models.additive(bi.Spline(degree=1)).decompose(data),
    ):
        assert not any(basis is other for basis in _bases(others.terms) for other in own)
    rows = weakref.ref(data)
    del data
    gc.collect()
    assert rows() is None
