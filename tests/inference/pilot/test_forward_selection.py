from collections.abc import Sequence

import jax
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.elimination import TermEvidence, TermLikelihood
from bayes_intgen.inference.gaussian.passes import (
    candidate_statistics,
    products,
    sufficient_statistics,
)
from bayes_intgen.inference.pilot.forward_selection import (
    MIN_LOG_BAYES_FACTOR,
    RemainingCandidates,
    left_over,
    select_terms,
)
from bayes_intgen.inference.pilot.pilot import pilot_fit
from bayes_intgen.models.variance_function import Homoscedastic

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
    assert bi.models.additive("linear").candidates(data) == ()


def test_likelihood_of_a_candidate_agrees_with_the_joint_posterior() -> None:
    """The joint posterior of all coefficients, divided by the candidate's prior."""
    data, model = world(1.0), bi.models.additive("polynomial")
    with jax.enable_x64(True):
        terms = model.decompose(data)
        candidates = model.candidates(data)[2:]
        wider = terms.and_terms(candidates)
        sums = sufficient_statistics(data, wider, Homoscedastic(), progress=False)
        statistics = candidate_statistics(
            data, terms, candidates, Homoscedastic(), False, np.float64
        )
        narrow = MarginalPosterior.of(model, terms, statistics.sums)
        sites = {name: np.exp(v) for name, v in narrow.priors.start.items()}
        joint = MarginalPosterior.of(model, wider, sums)
        joint_sites = {name: np.exp(v) for name, v in joint.priors.start.items()}
        mean, covariance = joint.moments(joint_sites)
        _, (precision,), information = left_over(narrow, sites, statistics)
        likelihood = TermLikelihood.of_information(precision, information)
    own = wider.columns[candidates[0].name]
    scale = float(joint_sites["scale"][wider.scaled.index(candidates[0].name)])
    expected = TermLikelihood.of(mean[own], covariance[own, own], scale)
    grid = np.linspace(-6, 1, 8)
    np.testing.assert_allclose(likelihood.log_ratio(grid), expected.log_ratio(grid), rtol=1e-6)


def world_with_products() -> bi.RegimeData:
    """Four actions, the fourth of which contains the three products of the others."""
    rng = np.random.default_rng(3)
    masks = np.repeat(np.vstack([np.zeros((1, 4)), np.eye(4)]).astype(bool), 400, axis=0)
    causes = rng.normal(size=masks.shape)
    actions = np.where(masks, rng.normal(size=masks.shape), causes + rng.normal(size=masks.shape))
    own = ~masks[:, 3]
    pairs = actions[:, 1] * (actions[:, 0] + actions[:, 2]) + actions[:, 0] * actions[:, 2]
    actions[own, 3] += pairs[own]
    outcome = np.tanh(actions).sum(axis=1) + causes.sum(axis=1)
    outcome = outcome + 0.3 * rng.normal(size=len(outcome))
    return bi.RegimeData.from_arrays(actions, outcome, masks, ("a1", "a2", "a3", "a4"))


def test_candidates_are_compared_with_the_remaining_variation() -> None:
    """Evidence in every round, against the joint likelihood of all candidates."""
    data, model, spread = world_with_products(), bi.models.additive("polynomial"), Homoscedastic()
    with jax.enable_x64(True):
        terms, candidates = model.decompose(data), model.candidates(data)
        wider = terms.and_terms(candidates)
        sums = sufficient_statistics(data, wider, spread, progress=False)
        statistics = candidate_statistics(data, terms, candidates, spread, False, np.float64)
        posterior = MarginalPosterior.of(model, terms, statistics.sums)
        sites = posterior.sites(posterior.mode(posterior.start, progress=False))
        mean, covariance = posterior.moments(sites)
    variance = float(sites["noise_sd"]) ** 2
    xx, xy = np.asarray(sums.xx) / variance, np.asarray(sums.xy) / variance
    cross = xx[terms.size :, : terms.size]
    precision = xx[terms.size :, terms.size :] - cross @ covariance @ cross.T
    information = xy[terms.size :] - cross @ mean
    columns = [
        slice(wider.columns[t.name].start - terms.size, wider.columns[t.name].stop - terms.size)
        for t in candidates
    ]

    def joint_evidence(indices: list[int]) -> dict[int, TermEvidence]:
        return {
            i: TermEvidence.of(
                TermLikelihood.of_information(precision[at, at], information[at]),
                np.log(candidates[i].component.scale.median * terms.unit),
                candidates[i].component.scale.sigma,
            )
            for i, at in ((i, columns[i]) for i in indices)
        }

    def assert_same_evidence(expected: dict[int, TermEvidence]) -> None:
        evidence = candidate_evidence.evidence()
        assert evidence.keys() == expected.keys()
        for i in evidence:
            np.testing.assert_allclose(evidence[i], expected[i], rtol=1e-6, atol=1e-6)

    passes: list[int] = []

    def cross_products(index: int, others: Sequence[int]) -> np.ndarray:
        passes.append(index)
        return products(data, terms, candidates, spread, False, index, others)

    candidate_evidence = RemainingCandidates.of(posterior, sites, statistics, candidates)
    first = joint_evidence(list(range(len(candidates))))
    assert_same_evidence(first)
    # Candidates with evidence against them from the start are not considered again.
    remaining, selection = [i for i in first if first[i].log_bayes_factor > 0], []
    assert len(remaining) < len(candidates)
    candidate_evidence.restrict(remaining)
    while remaining:
        evidence = joint_evidence(remaining)
        assert_same_evidence(evidence)
        best = max(evidence, key=lambda i: evidence[i].log_bayes_factor)
        if evidence[best].log_bayes_factor < MIN_LOG_BAYES_FACTOR + np.log(len(candidates)):
            break
        remaining.remove(best)
        selection.append(best)
        at = columns[best]
        prior = np.eye(at.stop - at.start) / evidence[best].scale ** 2
        gain = np.linalg.solve(precision[at, at] + prior, precision[at]).T
        information = information - gain @ information[at]
        precision = precision - gain @ precision[at]
        candidate_evidence.add_to_model(best, evidence[best].scale, cross_products)
    # Rows are read again only for the selected terms, as long as candidates remain.
    expected_passes = selection if remaining else selection[:-1]
    assert passes == expected_passes
    passes.clear()
    selected = select_terms(posterior, sites, statistics, candidates, cross_products)
    assert selected == tuple(candidates[i] for i in sorted(selection))
    assert passes == expected_passes
    assert len(selection) >= 2


@pytest.mark.filterwarnings(
    "ignore::bayes_intgen.SupportWarning",
    # A fit without candidates does not follow the product, and a cubic does not follow every tail.
    "ignore::bayes_intgen.LackOfFitWarning",
)
def test_selected_product_reduces_the_error_of_the_effect() -> None:
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
