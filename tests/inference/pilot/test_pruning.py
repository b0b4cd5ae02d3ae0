import jax
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.gaussian.elimination import TermEvidence, TermLikelihood
from bayes_intgen.inference.pilot.pilot import Pilot, pilot_fit
from bayes_intgen.inference.pilot.pruning import PrunedModel, weak_terms

from conftest import confounded_rows

MODEL = bi.models.additive("spline")


@pytest.fixture(scope="module")
def pilot() -> Pilot:
    """Pilot fit to data in which red moves green, and green does not move red."""
    data = confounded_rows(400, seed=5)
    with jax.enable_x64(True):
        return pilot_fit(data, MODEL, MODEL.decompose(data), (), progress=False)


def prune(pilot: Pilot, simplify: bool) -> PrunedModel:
    return PrunedModel.of(MODEL, pilot.posterior.terms, pilot, simplify)


def test_terms_with_evidence_against_them_are_eliminated(pilot: Pilot) -> None:
    model = prune(pilot, simplify=True)
    names = {term.name for term in model.terms.terms}
    cross_action = {term.name for term in model.terms.terms if term.cross_action}
    assert "delta(red | green)" in model.fixed
    assert "delta(green | red)" in cross_action - set(model.fixed)
    assert set(model.fixed) < cross_action < names
    remaining = {term.name for term in model.posterior.terms.terms}
    assert remaining == names - set(model.fixed)
    assert set(model.posterior.terms.scaled) == set(pilot.posterior.terms.scaled) - set(model.fixed)
    assert model.posterior.size + len(model.statistics.eliminated) == pilot.posterior.size
    assert all(0 < scale < float(pilot.sites["noise_sd"]) for scale in model.fixed.values())


def test_posterior_is_that_of_the_pilot_without_pruning(pilot: Pilot) -> None:
    model = prune(pilot, simplify=False)
    assert model.fixed == {}
    assert model.terms == pilot.posterior.terms
    assert model.posterior.value(pilot.mode) == pytest.approx(pilot.posterior.value(pilot.mode))


def test_cross_action_terms_of_one_kind_share_an_empirical_bayes_median(pilot: Pilot) -> None:
    before, model = pilot.posterior.terms, prune(pilot, simplify=True)
    scales = {term.name: term.component.scale for term in model.terms.terms}
    medians_of_kind: dict[tuple, set] = {}
    for term in before.terms:
        if term.cross_action:
            kind = (term.component.label, len(term.inputs))
            medians_of_kind.setdefault(kind, set()).add(scales[term.name].median)
            # Most terms are absent from these data, so that estimates are below the prior median.
            assert scales[term.name].median < term.component.scale.median
            assert scales[term.name].sigma == term.component.scale.sigma
        else:
            assert scales[term.name] == term.component.scale
    assert all(len(medians) == 1 for medians in medians_of_kind.values())


def test_pruning_preserves_the_posterior_of_the_remaining_coefficients(pilot: Pilot) -> None:
    """Compared at the pilot's mode."""
    model = prune(pilot, simplify=True)
    posterior = model.posterior
    sites = posterior.sites(posterior.point(pilot.sites, pilot.posterior.terms))
    mean, covariance = posterior.moments(sites)
    whole_mean, whole_covariance = pilot.posterior.moments(pilot.sites)
    columns = model.statistics.remaining
    sd = np.sqrt(np.diag(whole_covariance)[columns])
    np.testing.assert_allclose(mean, whole_mean[columns], atol=0.3 * sd.max())
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), sd, rtol=0.2, atol=0.05 * sd.max())
    # Negative control: the prior has other means and standard deviations.
    prior_sd = np.exp(posterior.priors.log_sd(sites))
    assert not np.allclose(prior_sd, sd, rtol=0.2, atol=0.05 * sd.max())
    assert not np.allclose(posterior.priors.mean, whole_mean[columns], atol=0.3 * sd.max())


def likelihood_with(log_bayes_factor: float, log_median: float, sigma: float) -> TermLikelihood:
    """Likelihood of one coefficient with a given log Bayes factor, by bisection."""
    precision, low, high = np.exp(-2 * log_median), 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        likelihood = TermLikelihood(np.array([precision]), np.array([middle * precision]))
        factor = TermEvidence.of(likelihood, log_median, sigma).log_bayes_factor
        low, high = (middle, high) if factor < log_bayes_factor else (low, middle)
    return likelihood


@pytest.mark.parametrize(
    ("log_bayes_factor", "weak"),
    [
        (-0.1, {"action", "covariate", "level", "slope", "usual", "moderator", "group bias"}),
        (0.25, {"covariate", "level", "usual"}),
        (0.75, set()),
    ],
)
def test_terms_without_actions_need_evidence_for_them(
    log_bayes_factor: float, weak: set[str]
) -> None:
    plain, rng = confounded_rows(60, seed=1), np.random.default_rng(2)
    data = bi.RegimeData.from_arrays(
        plain.actions,
        plain.outcome,
        plain.intervened,
        plain.names,
        covariates={"age": rng.normal(size=len(plain))},
        groups={"region": rng.integers(0, 4, len(plain))},
    )
    model = bi.models.additive(
        "spline", moderators={"red": ["age"]}, groups={"region": ["level", "red"]}
    )
    terms = model.decompose(data)
    likelihoods = {}
    for term in terms.terms:
        if term.can_be_pruned:
            prior = term.component.scale
            log_median = float(np.log(prior.median * terms.unit))
            likelihoods[term.name] = likelihood_with(log_bayes_factor, log_median, prior.sigma)
    kinds = {
        "delta(red | green)": "action",
        "gamma(age)": "covariate",
        "level(region)": "level",
        "slope(red | region)": "slope",
        "delta(red | usual red of region)": "usual",
        "psi(red | age)": "moderator",
        "delta(red | region)": "group bias",
    }
    assert set(kinds) <= set(likelihoods)
    found = weak_terms(terms, likelihoods)
    assert {kind for name, kind in kinds.items() if name in found} == weak
