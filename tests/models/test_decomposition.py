import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.models.terms import Decomposition

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


def test_graph_determines_which_actions_are_candidates_in_a_bias(data) -> None:
    def others(**model: object) -> set[str]:
        candidates = bi.models.additive(**model).candidates(data)
        return {
            t.name.split(" interaction")[0].split(" finer")[0] for t in candidates if "|" in t.name
        }

    assert others(graph=None) == {"delta(red | green)", "delta(green | red)"}
    assert others(graph={"green": ["red"]}) == {"delta(green | red)"}
    assert others(graph={}) == set()


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
