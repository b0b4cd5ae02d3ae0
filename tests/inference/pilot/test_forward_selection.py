from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

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
from bayes_intgen.inference.gaussian.sufficient_statistics import CandidateStatistics
from bayes_intgen.inference.pilot.forward_selection import (
    MIN_LOG_BAYES_FACTOR,
    MIN_LOG_BAYES_FACTOR_BY_DEFAULT,
    CrossProducts,
    RemainingCandidates,
    left_over,
    select_terms,
)
from bayes_intgen.inference.pilot.pilot import pilot_fit
from bayes_intgen.models.terms import Term
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
    assert bi.models.additive("linear", interactions=None).candidates(data) == ()
    pairs = [term.name for term in bi.models.additive("linear").candidates(data)]
    assert pairs == ["psi(a1, a2)", "psi(a1, a3)", "psi(a2, a3)"]


def test_likelihood_of_a_candidate_agrees_with_the_joint_posterior() -> None:
    """The joint posterior of all coefficients, divided by the candidate's prior."""
    data, model = world(1.0), bi.models.additive("polynomial", interactions=None)
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


class Case(NamedTuple):
    """Arguments of ``select_terms`` for one data set."""

    posterior: MarginalPosterior
    sites: dict[str, np.ndarray]
    statistics: CandidateStatistics
    candidates: Sequence[Term]
    products: CrossProducts


class JointLikelihood:
    """Likelihood of all candidates together, from the sums of all their columns."""

    def __init__(self, data: bi.RegimeData, case: Case) -> None:
        self.terms, self.candidates = case.posterior.terms, case.candidates
        size, wider = self.terms.size, self.terms.and_terms(case.candidates)
        with jax.enable_x64(True):
            sums = sufficient_statistics(data, wider, Homoscedastic(), progress=False)
            mean, covariance = case.posterior.moments(case.sites)
        variance = float(case.sites["noise_sd"]) ** 2
        xx, xy = np.asarray(sums.xx) / variance, np.asarray(sums.xy) / variance
        cross = xx[size:, :size]
        self.precision = xx[size:, size:] - cross @ covariance @ cross.T
        self.information = xy[size:] - cross @ mean
        positions = np.arange(-size, wider.size - size)
        self.columns = [positions[wider.columns[term.name]] for term in self.candidates]

    def evidence(self, indices: Iterable[int]) -> dict[int, TermEvidence]:
        evidence = {}
        for i in indices:
            at, prior = self.columns[i], self.candidates[i].component.scale
            evidence[i] = TermEvidence.of(
                TermLikelihood.of_information(self.precision[np.ix_(at, at)], self.information[at]),
                np.log(prior.median * self.terms.unit),
                prior.sigma,
            )
        return evidence

    def add(self, index: int, scale: float) -> None:
        at = self.columns[index]
        prior = np.eye(len(at)) / scale**2
        gain = np.linalg.solve(self.precision[np.ix_(at, at)] + prior, self.precision[at]).T
        self.information = self.information - gain @ self.information[at]
        self.precision = self.precision - gain @ self.precision[at]


@pytest.fixture(scope="module")
def case() -> Case:
    return case_of(bi.models.additive("polynomial", interactions=None))


def case_of(model: bi.models.AdditiveModel) -> Case:
    data, spread = world_with_products(), Homoscedastic()
    with jax.enable_x64(True):
        terms, candidates = model.decompose(data), model.candidates(data)
        statistics = candidate_statistics(data, terms, candidates, spread, False, np.float64)
        posterior = MarginalPosterior.of(model, terms, statistics.sums)
        sites = posterior.sites(posterior.mode(posterior.start, progress=False))
    cross_products = partial(products, data, terms, candidates, spread, False)
    return Case(posterior, sites, statistics, candidates, cross_products)


def best_of(evidence: dict[int, TermEvidence]) -> int:
    return max(evidence, key=lambda i: evidence[i].log_bayes_factor)


def thresholds_of(candidates: Sequence[Term]) -> list[float]:
    interacts = [term.role == "interaction" for term in candidates]
    usual = MIN_LOG_BAYES_FACTOR + np.log(len(candidates) - sum(interacts))
    return [MIN_LOG_BAYES_FACTOR_BY_DEFAULT if own else usual for own in interacts]


def test_evidence_of_remaining_candidates_agrees_with_the_joint_likelihood(case) -> None:
    joint = JointLikelihood(world_with_products(), case)
    remaining = RemainingCandidates(*case[:-1])
    for rounds in range(5):
        evidence = remaining.evidence()
        for i, expected in joint.evidence(evidence).items():
            np.testing.assert_allclose(evidence[i], expected, rtol=1e-6, atol=1e-6)
        if rounds == 0:
            assert len(evidence) == len(case.candidates)
            before = evidence
            remaining.restrict([1, 3, 4, 8, 9, 10, 11])
        else:
            best = best_of(evidence)
            joint.add(best, evidence[best].scale)
            remaining.add_to_model(best, evidence[best].scale, case.products)
    # Negative control: additions change the evidence.
    assert not np.isclose(evidence[1].log_bayes_factor, before[1].log_bayes_factor, rtol=1e-4)


@pytest.mark.parametrize("interactions", [None, "auto"])
def test_candidate_with_most_evidence_is_added_until_none_has_enough(case, interactions) -> None:
    if interactions == "auto":
        case = case_of(bi.models.additive("polynomial"))
    joint = JointLikelihood(world_with_products(), case)
    first, thresholds = joint.evidence(range(len(case.candidates))), thresholds_of(case.candidates)
    # Candidates with evidence against them from the start are not considered again.
    remaining = [i for i in first if first[i].log_bayes_factor > min(thresholds[i], 0)]
    selection: list[int] = []
    assert len(remaining) < len(case.candidates)
    while remaining:
        evidence = joint.evidence(remaining)
        best = max(evidence, key=lambda i: evidence[i].log_bayes_factor - thresholds[i])
        if evidence[best].log_bayes_factor < thresholds[best]:
            break
        remaining.remove(best)
        selection.append(best)
        joint.add(best, evidence[best].scale)
    passes: list[int] = []

    def counted_products(index: int, others: Sequence[int]) -> np.ndarray:
        passes.append(index)
        return case.products(index, others)

    terms = select_terms(*case[:-1], counted_products)
    assert terms == tuple(case.candidates[i] for i in sorted(selection))
    assert len(selection) >= 2
    # Rows are read again only for selected terms, as long as candidates remain.
    assert passes == (selection if remaining else selection[:-1])


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
