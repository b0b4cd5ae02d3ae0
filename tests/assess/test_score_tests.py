import jax
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.assess.alternatives import alternatives
from bayes_intgen.assess.null_model import NullModel, null_fit
from bayes_intgen.assess.score_tests import ScoreStatistics, score_tests
from bayes_intgen.inference.gaussian.passes import candidate_statistics
from bayes_intgen.inference.pilot.forward_selection import left_over
from bayes_intgen.inference.pilot.pilot import pilot_fit
from bayes_intgen.models.gates import Always
from bayes_intgen.models.mechanisms.mechanism import Component
from bayes_intgen.models.terms import Term


@pytest.fixture(scope="module")
def fitted(data):
    model = bi.models.additive(interactions=None)
    pilot = pilot_fit(data, model, model.decompose(data), (), progress=False)
    psi = alternatives(data, model)[0]
    return NullModel.of(data, pilot), psi, psi.matrix(data.actions, data.intervened)


def test_scores_equal_those_of_forward_selection(data, fitted) -> None:
    null, psi, columns = fitted
    terms = null.fit.posterior.terms
    ((basis, inputs),) = psi.pieces
    part = Component("", basis, psi.scale, inputs=(0, 1))
    candidates = [Term("psi", "bias", 0, inputs, part, None, Always())]
    results = candidate_statistics(data, terms, candidates, null.fit.spread, False, np.float64)
    _, (precision,), information = left_over(null.fit.posterior, null.fit.sites, results)
    scores = ScoreStatistics.of(null, [], columns)
    np.testing.assert_allclose(scores.information, information, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(scores.precision, precision, rtol=1e-6, atol=1e-6)


def test_related_terms_are_marginalised_later_with_the_same_result(fitted) -> None:
    null, psi, columns = fitted
    related = null.related(psi)
    assert [term.name for term in related] == [
        "delta(red | green) interaction", "delta(green | red) interaction",
    ]  # fmt: skip
    scores, all_at_mode = (ScoreStatistics.of(null, some, columns) for some in (related, []))
    terms, sites = null.fit.posterior.terms, null.fit.sites
    sd = np.repeat(
        [float(sites["scale"][terms.scaled.index(term.name)]) for term in related],
        [term.component.basis.size for term in related],
    )
    own = slice(0, len(sd))
    gain = np.linalg.solve(
        scores.precision[own, own] + np.diag(sd**-2.0), scores.precision[own, len(sd) :]
    )
    np.testing.assert_allclose(
        scores.precision[len(sd) :, len(sd) :] - scores.precision[len(sd) :, own] @ gain,
        all_at_mode.precision,
        rtol=1e-6,
        atol=1e-6 * np.abs(all_at_mode.precision).max(),
    )
    information = scores.information[len(sd) :] - scores.information[own] @ gain
    np.testing.assert_allclose(information, all_at_mode.information, rtol=1e-5, atol=1e-5)


def test_shrinkage_is_part_of_the_covariance(fitted) -> None:
    null, psi, columns = fitted
    scores = ScoreStatistics.of(null, null.related(psi), columns)
    assert (np.linalg.eigvalsh(scores.shrinkage) > -1e-8).all()
    assert (np.linalg.eigvalsh(scores.precision - scores.shrinkage) > -1e-8).all()
    # The rows' own part is near the model's here, whose noise is normal.
    contributions = scores.rows * null.residual[:, None]
    of_rows = np.diag(contributions.T @ contributions)
    of_model = np.diag(scores.precision - scores.shrinkage)
    assert ((of_rows / of_model > 0.5) & (of_rows / of_model < 2)).all()
    draws = scores.draw_shrinkage(4000, np.random.default_rng(0))
    sd = np.sqrt(np.diag(scores.shrinkage)) + 1e-300
    gap = (np.cov(draws.T) - scores.shrinkage) / np.outer(sd, sd)
    assert np.abs(gap).max() < 5 * np.sqrt(2 / 4000)


def test_alternatives_in_the_span_of_the_model_are_not_tested() -> None:
    # Two values of each action, seen together in three of four combinations only: an interaction
    # then equals a sum of functions of single actions.
    rng = np.random.default_rng(0)
    intervened = np.repeat([[False, False], [True, False], [False, True]], 200, axis=0)
    actions = rng.integers(0, 2, size=(600, 2)).astype(float)
    outcome = actions @ [1.0, 0.5] + rng.normal(size=600)
    model = bi.models.additive(interactions=None)

    def tested(keep: np.ndarray) -> list[bool]:
        data = bi.RegimeData.from_arrays(actions[keep], outcome[keep], intervened[keep])
        candidates = alternatives(data, model)[:1]
        with jax.enable_x64(True):
            fit = null_fit(data, model, candidates, progress=False)
        return [
            r is not None for r in score_tests(NullModel.of(data, fit), candidates, 0.025, seed=0)
        ]

    everything = np.ones(600, dtype=bool)
    assert tested(everything) == [True]
    assert tested(actions.sum(axis=1) < 2) == [False]
    result = bi.check(
        bi.RegimeData.from_arrays(*(x[actions.sum(axis=1) < 2] for x in (actions, outcome)),
                                  intervened[actions.sum(axis=1) < 2]),
        model, held_out=0, progress=False,
    )  # fmt: skip
    assert "cannot reveal: interaction of a1 and a2" in str(result)


def test_alternatives_follow_from_regimes_and_graph(data) -> None:
    def labels(model, rows=data):
        return [d.label for d in alternatives(rows, model)]

    pair = "interaction of red and green"
    confounded = f"{pair} with hidden causes"
    assert labels(bi.models.additive(interactions=None)) == [pair, confounded]
    assert labels(bi.models.additive()) == [confounded]
    assert labels(bi.models.additive(interactions=[("green", "red")])) == [confounded]
    assert labels(bi.models.additive(graph={"green": ["red"]}, interactions=None)) == [
        pair, "bias of red depends on green", confounded,
    ]  # fmt: skip
    together = np.repeat([[False, False], [True, True]], 100, axis=0)
    rng = np.random.default_rng(0)
    several = bi.RegimeData.from_arrays(
        rng.normal(size=(200, 2)), rng.normal(size=200), together, data.names
    )
    results = alternatives(several, bi.models.additive("linear", interactions=None))
    assert [d.label for d in results] == [
        pair, "do(red, green) differs from what other regimes predict", confounded,
    ]  # fmt: skip
    # Without other rows, contributions and biases can fit any mean of the regime.
    assert [d.testable for d in results] == [True, False, False]
    # It is zero outside its own regime: a level, and a function of each action.
    block = results[1].matrix(several.actions, several.intervened)
    assert block.shape == (200, 3)
    assert not block[:100].any()
    assert (block[100:, 0] == 1).all()


def three_actions(interaction: float, triple: float) -> bi.RegimeData:
    """Rows of 500 single interventions each and 300 on the first two actions together.

    ``interaction`` scales a product of the first two actions in the outcome, ``triple`` one in the
    third action, whose bias is then a function of all three.
    """
    rng = np.random.default_rng(0)
    masks = np.repeat(np.vstack([np.zeros(3), np.eye(3), [1, 1, 0]]) > 0, [500] * 4 + [300], axis=0)
    causes = rng.normal(size=masks.shape)
    actions = np.where(masks, rng.normal(size=masks.shape), causes + rng.normal(size=masks.shape))
    product = actions[:, 0] * actions[:, 1]
    actions[~masks[:, 2], 2] += triple * product[~masks[:, 2]]
    outcome = np.tanh(actions).sum(axis=1) + causes.sum(axis=1) + interaction * product
    outcome = outcome + 0.3 * rng.normal(size=len(outcome))
    return bi.RegimeData.from_arrays(actions, outcome, masks, ("a1", "a2", "a3"))


@pytest.mark.parametrize(("interaction", "triple"), [(0.4, 0.0), (0.0, 1.0)])
def test_an_interaction_does_not_pass_for_a_bias_of_three_actions(interaction, triple) -> None:
    data = three_actions(interaction, triple)
    model = bi.models.additive("polynomial", interactions=None)
    with jax.enable_x64(True):
        terms, candidates = model.decompose(data), model.candidates(data)
        of_fit = pilot_fit(data, model, terms, candidates, progress=False)
        of_check = null_fit(data, model, alternatives(data, model), progress=False)
    three_way = [
        {t.name for t in pilot.posterior.terms.terms if len(t.inputs) == 3}
        for pilot in (of_fit, of_check)
    ]
    name = "delta(a3 | a1, a2) interaction"
    assert name in three_way[0]
    assert (name in three_way[1]) == (triple > 0)
    assert bi.check(data, model, held_out=0, progress=False).violated == (interaction > 0)
