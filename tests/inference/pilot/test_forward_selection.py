from collections.abc import Sequence
from typing import Any

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
from bayes_intgen.inference.pilot import forward_selection as screening
from bayes_intgen.inference.pilot.forward_selection import (
    MIN_LOG_BAYES_FACTOR,
    left_over,
    select_terms,
)
from bayes_intgen.inference.pilot.pilot import pilot_fit
from bayes_intgen.models.variance_function import Homoscedastic

NAMES = ("a1", "a2", "a3")


def world(product: float, rows: int = 500, seed: int = 0):
    """Three actions; the third is the product of the others, times the dial, and its cause."""
    rng = np.random.default_rng(seed)
    masks = np.repeat(np.vstack([np.zeros((1, 3)), np.eye(3)]).astype(bool), rows, axis=0)
    causes = rng.normal(size=masks.shape)
    left_alone = causes + 0.5 * rng.normal(size=masks.shape)
    actions = np.where(masks, rng.normal(size=masks.shape), left_alone)
    actions[~masks[:, 2], 2] += product * (actions[:, 0] * actions[:, 1])[~masks[:, 2]]
    outcome = np.tanh(actions).sum(axis=1) + causes.sum(axis=1)
    outcome = outcome + 0.3 * rng.normal(size=len(outcome))
    return bi.RegimeData.from_arrays(actions, outcome, masks, NAMES)


def found(data: bi.RegimeData, model: bi.models.AdditiveModel) -> list[str]:
    with jax.enable_x64(True):
        terms = model.decompose(data)
        pilot = pilot_fit(data, model, terms, model.candidates(data), progress=False)
    return [t.name for t in pilot.posterior.terms.terms if len(t.inputs) == 3]


@pytest.mark.parametrize("prior", ["gp", "polynomial"])
def test_a_product_of_two_parents_joins_where_it_moves_an_action(prior) -> None:
    model = bi.models.additive(prior)
    assert found(world(1.0), model) == ["delta(a3 | a1, a2) interaction"]
    assert found(world(0.0), model) == []


def test_a_known_graph_leaves_only_parents_to_ask_for() -> None:
    data = world(1.0)
    assert found(data, bi.models.additive(graph={"a3": ["a1"]})) == []
    assert found(data, bi.models.additive(graph={"a3": ["a1", "a2"]})) == [
        "delta(a3 | a1, a2) interaction"
    ]
    assert bi.models.pooled().candidates(data) == ()
    assert bi.models.additive("linear").candidates(data) == ()


def test_what_is_left_is_the_likelihood_in_the_joint_posterior() -> None:
    """Against the posterior of all coefficients together, its prior taken out again."""
    data, model = world(1.0), bi.models.additive("polynomial")
    with jax.enable_x64(True):
        terms = model.decompose(data)
        chosen = model.candidates(data)[2:]
        wider = terms.and_terms(chosen)
        sums = sufficient_statistics(data, wider, Homoscedastic(), progress=False)
        found = candidate_statistics(data, terms, chosen, Homoscedastic(), False, np.float64)
        narrow = MarginalPosterior.of(model, terms, found.sums)
        sites = {name: np.exp(v) for name, v in narrow.priors.start.items()}
        both = MarginalPosterior.of(model, wider, sums)
        every = {name: np.exp(v) for name, v in both.priors.start.items()}
        mean, covariance = both.moments(every)
        _, (precision,), information = left_over(narrow, sites, found)
        left = TermLikelihood.of_information(precision, information)
    own = wider.columns[chosen[0].name]
    scale = float(every["scale"][wider.scaled.index(chosen[0].name)])
    direct = TermLikelihood.of(mean[own], covariance[own, own], scale)
    grid = np.linspace(-6, 1, 8)
    np.testing.assert_allclose(left.log_ratio(grid), direct.log_ratio(grid), rtol=1e-6)


def test_each_is_held_against_what_those_before_it_leave(monkeypatch) -> None:
    """Against all candidates' likelihood together, from which those that joined are taken out."""
    rng = np.random.default_rng(3)
    masks = np.repeat(np.vstack([np.zeros((1, 4)), np.eye(4)]).astype(bool), 400, axis=0)
    causes = rng.normal(size=masks.shape)
    actions = np.where(masks, rng.normal(size=masks.shape), causes + rng.normal(size=masks.shape))
    # Products of others are in the fourth action.
    own = ~masks[:, 3]
    pairs = actions[:, 1] * (actions[:, 0] + actions[:, 2]) + actions[:, 0] * actions[:, 2]
    actions[own, 3] += pairs[own]
    outcome = np.tanh(actions).sum(axis=1) + causes.sum(axis=1)
    outcome = outcome + 0.3 * rng.normal(size=len(outcome))
    data = bi.RegimeData.from_arrays(actions, outcome, masks, ("a1", "a2", "a3", "a4"))
    model, spread = bi.models.additive("polynomial"), Homoscedastic()
    with jax.enable_x64(True):
        terms, candidates = model.decompose(data), model.candidates(data)
        wider = terms.and_terms(candidates)
        sums = sufficient_statistics(data, wider, spread, progress=False)
        found = candidate_statistics(data, terms, candidates, spread, False, np.float64)
        posterior = MarginalPosterior.of(model, terms, found.sums)
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
    evidences: list[float] = []

    class Recorded:
        """Evidence as it is, which is remembered."""

        @staticmethod
        def of(*arguments: Any) -> TermEvidence:
            evidence = TermEvidence.of(*arguments)
            evidences.append(evidence.log_bayes_factor)
            return evidence

    def evidence_of(some: list[int]) -> dict[int, TermEvidence]:
        return {
            i: Recorded.of(
                TermLikelihood.of_information(precision[at, at], information[at]),
                np.log(candidates[i].component.scale.median * terms.unit),
                candidates[i].component.scale.sigma,
            )
            for i, at in ((i, columns[i]) for i in some)
        }

    # Candidates that the data speak against from the start are not considered again.
    first = evidence_of(list(range(len(candidates))))
    left, expected, to_read = [i for i in first if first[i].log_bayes_factor > 0], [], []
    assert len(left) < len(candidates)
    while left:
        evidence = evidence_of(left)
        best = max(evidence, key=lambda i: evidence[i].log_bayes_factor)
        if evidence[best].log_bayes_factor < MIN_LOG_BAYES_FACTOR + np.log(len(candidates)):
            break
        left.remove(best)
        expected.append(best)
        to_read += [best] if left else []
        at = columns[best]
        prior = np.eye(at.stop - at.start) / evidence[best].scale ** 2
        gain = np.linalg.solve(precision[at, at] + prior, precision[at]).T
        information = information - gain @ information[at]
        precision = precision - gain @ precision[at]
    together: list[float] = [*evidences]
    read: list[int] = []
    evidences.clear()
    monkeypatch.setattr(screening, "TermEvidence", Recorded)

    def of_pairs(which: int, others: Sequence[int]) -> np.ndarray:
        read.append(which)
        return products(data, terms, candidates, spread, False, which, others)

    chosen = select_terms(posterior, sites, found, candidates, of_pairs)
    assert chosen == tuple(candidates[i] for i in sorted(expected))
    # Rows are read again only for those that join, one after the other, while others are left.
    assert read == to_read
    np.testing.assert_allclose(evidences, together, rtol=1e-6, atol=1e-6)
    assert len(expected) >= 2


@pytest.mark.filterwarnings(
    "ignore::bayes_intgen.SupportWarning",
    # A fit without candidates does not follow the product, and a cubic not every tail.
    "ignore::bayes_intgen.LackOfFitWarning",
)
def test_the_bias_follows_a_product_of_two_parents() -> None:
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
