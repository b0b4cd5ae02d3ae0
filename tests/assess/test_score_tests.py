import jax
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.assess.alternatives import alternatives
from bayes_intgen.assess.score_tests import (
    N_BOOTSTRAP,
    ScoreStatistics,
    log_bayes_factors,
    null_fit,
)
from bayes_intgen.inference.gaussian.elimination import TermEvidence, TermLikelihood
from bayes_intgen.inference.gaussian.passes import candidate_statistics
from bayes_intgen.inference.pilot.forward_selection import left_over
from bayes_intgen.inference.pilot.pilot import pilot_fit
from bayes_intgen.models.gates import Always
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal
from bayes_intgen.models.terms import Term


@pytest.fixture(scope="module")
def fitted(data):
    model = bi.models.additive()
    pilot = pilot_fit(data, model, model.decompose(data), (), progress=False)
    testable = alternatives(data, model)
    columns = np.concatenate([d.matrix(data.actions, data.intervened) for d in testable], axis=1)
    return pilot, testable, columns, ScoreStatistics.of(data, pilot, pilot.sites, columns)


def test_scores_equal_those_of_forward_selection(data, fitted) -> None:
    pilot, testable, _, scores = fitted
    terms = pilot.posterior.terms
    ((basis, inputs),) = testable[0].pieces
    part = Component("", basis, testable[0].scale, inputs=(0, 1))
    candidates = [Term("psi", "bias", 0, inputs, part, None, Always())]
    results = candidate_statistics(data, terms, candidates, pilot.spread, False, np.float64)
    _, (precision,), information = left_over(pilot.posterior, pilot.sites, results)
    np.testing.assert_allclose(scores.score, information, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(scores.precision, precision, rtol=1e-6, atol=1e-6)


def test_shrinkage_is_part_of_the_covariance(fitted) -> None:
    _, _, _, scores = fitted
    assert (np.linalg.eigvalsh(scores.shrinkage) > -1e-8).all()
    assert (np.linalg.eigvalsh(scores.precision - scores.shrinkage) > -1e-8).all()
    # The rows' own part is near the model's here, whose noise is normal.
    of_rows = np.diag(scores.rows.T @ scores.rows)
    of_model = np.diag(scores.precision - scores.shrinkage)
    assert ((of_rows / of_model > 0.5) & (of_rows / of_model < 2)).all()


def test_bootstrap_samples_have_the_covariance_of_the_score(fitted) -> None:
    _, _, _, scores = fitted
    samples = scores.bootstrap(np.random.default_rng(0))
    assert samples.shape == (N_BOOTSTRAP, len(scores.score))
    sd = np.sqrt(np.diag(scores.variance))
    gap = (np.cov(samples.T) - scores.variance) / np.outer(sd, sd)
    assert np.abs(gap).max() < 5 * np.sqrt(2 / N_BOOTSTRAP)
    assert (np.abs(samples.mean(axis=0)) < 4.5 * sd / np.sqrt(N_BOOTSTRAP)).all()


def test_log_bayes_factors_of_many_scores_equal_those_of_single_scores() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 3))
    precision, scores = root @ root.T, rng.normal(size=(4, 3)) * 3
    scale = LogNormal(0.2, 2.0)
    results = log_bayes_factors(precision, scores, scale, unit=1.7)
    for one, score in zip(results, scores, strict=True):
        likelihood = TermLikelihood.of_information(precision, score)
        expected = TermEvidence.of(likelihood, np.log(0.2 * 1.7), 2.0).log_bayes_factor
        assert one == pytest.approx(expected)


def test_alternatives_follow_from_regimes_and_graph(data) -> None:
    def labels(model, rows=data):
        return [d.label for d in alternatives(rows, model)]

    pair = "interaction of red and green"
    assert labels(bi.models.additive()) == [pair]
    assert labels(bi.models.additive(graph={"green": ["red"]})) == [
        pair, "bias of red depends on green",
    ]  # fmt: skip
    together = np.repeat([[False, False], [True, True]], 100, axis=0)
    rng = np.random.default_rng(0)
    several = bi.RegimeData.from_arrays(
        rng.normal(size=(200, 2)), rng.normal(size=200), together, data.names
    )
    results = alternatives(several, bi.models.additive("linear"))
    assert [d.label for d in results] == [
        pair, "do(red, green) differs from what other regimes predict",
    ]  # fmt: skip
    # Without other rows, contributions and biases can fit any mean of the regime.
    assert [d.testable for d in results] == [True, False]
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
    data, model = three_actions(interaction, triple), bi.models.additive("polynomial")
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
