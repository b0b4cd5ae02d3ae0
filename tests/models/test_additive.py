import pytest

import bayes_intgen as bi
from bayes_intgen.basis.basis import MonomialBasis, PiecewiseLinear

from _posteriors import data_with_levels
from conftest import confounded_rows


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prior": "forest"}, "unknown prior 'forest'"),
        ({"unconfounded": {"red": "forest"}}, "unknown prior 'forest'"),
        ({"noise": "cauchy"}, "unknown noise 'cauchy'"),
        ({"spread": "wild"}, "unknown spread 'wild'"),
        ({"intercept": (0.0, 0.0)}, "positive sd"),
        ({"graph": {"green": "red"}}, r"graph\['green'\] must be a list"),
        ({"graph": "all"}, "graph must be a mapping"),
        ({"graph": ["red"]}, "graph must map"),
        ({"moderators": {"tv": "age"}}, r"moderators\['tv'\] must be a list"),
        ({"groups": {"region": "level"}}, r"groups\['region'\] must be a list"),
        ({"groups": ["region"]}, "groups must map names to lists"),
        ({"covariates": {"age": "smoth"}}, "unknown prior 'smoth'"),
        ({"interactions": "all"}, "must be \"auto\", None or pairs of actions, not 'all'"),
        ({"interactions": ["tv"]}, "a pair of interactions must be a list of actions"),
        ({"interactions": [("tv", "tv")]}, "'tv', 'tv' must be two different actions"),
        ({"interactions": [("tv", "radio", "search")]}, "must be two different actions"),
        ({"interactions": [("tv", 3)]}, "must be two different actions"),
        ({"interactions": [("tv", "red"), ("red", "tv")]}, "name a pair of actions twice"),
        ({"alike": ["tv", "radio"]}, r"a group of alike must be a list .*; write \['tv'\]"),
        ({"alike": "tv"}, "alike must be a list of groups of actions"),
        ({"alike": [["tv"]]}, "alike: 'tv' must be two or more actions"),
        ({"alike": [["tv", 3]]}, "must be two or more actions"),
        ({"alike": [["tv", "radio"], ["radio", "search"]]}, "'radio' is named twice"),
        ({"alike": [["tv", "tv"]]}, "'tv' is named twice; an action is in one group"),
        ({"interactions": 5}, "interactions must be a list of pairs of actions, not int"),
    ],
)
def test_invalid_arguments_raise(arguments, message) -> None:
    with pytest.raises(bi.ModelError, match=message):
        bi.models.additive(**arguments)


def test_named_levels_reject_priors_for_numbers() -> None:
    with pytest.raises(bi.ModelError, match="'drug' has named levels .*bi.Levels"):
        bi.models.additive(unconfounded={"drug": "gp"}).decompose(data_with_levels())
    priors = {"drug": bi.Levels(ordered=True), "coin": "linear"}
    terms = bi.models.additive(unconfounded=priors).decompose(data_with_levels())
    bases = {term.name: term.component.basis for term in terms.terms}
    assert isinstance(bases["phi(coin)"], MonomialBasis)
    assert isinstance(bases["phi(drug)"], PiecewiseLinear)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"graph": {"green": ["blue"]}}, "graph: unknown action 'blue'"),
        ({"graph": {"blue": None}}, "graph: unknown action 'blue'"),
        ({"graph": {"red": ["red"]}}, "cycle among 'red'"),
        ({"graph": {"red": ["green"], "green": ["red"]}}, "cycle among 'red', 'green'"),
        ({"bias": {"blue": "gp"}}, "bias has a prior for unknown action 'blue'"),
        ({"interactions": [("blue", "red")]}, "interactions: unknown action 'blue'"),
        ({"alike": [["red", "gren"]]}, "alike: unknown action 'gren'; did you mean 'green'"),
        (
            {"unconfounded": {"green": "linear"}, "alike": [["red", "green"]]},
            "'red' and 'green' have different priors, GP",
        ),
    ],
)
def test_models_that_do_not_match_the_data_raise(data, model, message) -> None:
    with pytest.raises(bi.ModelError, match=message):
        bi.models.additive(**model).decompose(data)


def test_saturated_model_rejects_regimes_that_are_no_combination() -> None:
    rows, model = confounded_rows(100, seed=11).only([], ["red"]), bi.models.saturated("linear")
    posterior = bi.fit(rows, model, method="laplace", draws=100, progress=False)
    with (
        pytest.warns(bi.SupportWarning, match="is not identified"),
        pytest.raises(bi.ModelError, match="no combination"),
    ):
        posterior.joint_effect([[0.5, 1.0]])
