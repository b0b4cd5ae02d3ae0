import jax
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.pilot.pilot import Pilot, pilot_fit
from bayes_intgen.inference.pilot.pruning import PrunedModel

from conftest import confounded_rows

MODEL = bi.models.additive("spline")


@pytest.fixture(scope="module")
def pilot() -> Pilot:
    """Red moves green, and green does not move red."""
    data = confounded_rows(400, seed=5)
    with jax.enable_x64(True):
        return pilot_fit(data, MODEL, MODEL.decompose(data), (), progress=False)


def of(pilot: Pilot, simplify: bool) -> PrunedModel:
    return PrunedModel.of(MODEL, pilot.posterior.terms, pilot, simplify)


def test_what_the_data_speak_against_has_a_fixed_scale_and_is_sampled_no_more(pilot: Pilot) -> None:
    found = of(pilot, simplify=True)
    names = {term.name for term in found.terms.terms}
    cross_action = {term.name for term in found.terms.terms if term.cross_action}
    assert "delta(red | green)" in found.fixed
    assert "delta(green | red)" in cross_action - set(found.fixed)
    assert set(found.fixed) < cross_action < names
    kept = {term.name for term in found.posterior.terms.terms}
    assert kept == names - set(found.fixed)
    assert set(found.posterior.terms.scaled) == set(pilot.posterior.terms.scaled) - set(found.fixed)
    assert found.posterior.size + len(found.condensed.dropped) == pilot.posterior.size
    assert all(0 < scale < float(pilot.sites["noise_sd"]) for scale in found.fixed.values())


def test_where_nothing_is_simplified_the_posterior_is_the_pilots(pilot: Pilot) -> None:
    found = of(pilot, simplify=False)
    assert found.fixed == {}
    assert found.terms == pilot.posterior.terms
    assert found.posterior.value(pilot.mode) == pytest.approx(pilot.posterior.value(pilot.mode))


def test_borrowed_terms_of_one_kind_have_the_scale_that_is_typical_of_them(pilot: Pilot) -> None:
    before, found = pilot.posterior.terms, of(pilot, simplify=True)
    typical = {term.name: term.component.scale for term in found.terms.terms}
    of_kind: dict[tuple, set] = {}
    for term in before.terms:
        if term.cross_action:
            kind = (term.component.label, len(term.inputs))
            of_kind.setdefault(kind, set()).add(typical[term.name].median)
            # Next to nothing is there, so that what is typical is less than was expected.
            assert typical[term.name].median < term.component.scale.median
            assert typical[term.name].sigma == term.component.scale.sigma
        else:
            assert typical[term.name] == term.component.scale
    assert all(len(medians) == 1 for medians in of_kind.values())


def test_what_is_fixed_leaves_the_coefficients_where_they_were(pilot: Pilot) -> None:
    """At the pilot's mode the posterior of what is kept is that of the whole model."""
    found = of(pilot, simplify=True)
    kept = found.posterior
    sites = kept.sites(kept.point(pilot.sites, pilot.posterior.terms))
    mean, covariance = kept.moments(sites)
    whole_mean, whole_covariance = pilot.posterior.moments(pilot.sites)
    columns = found.condensed.kept
    sd = np.sqrt(np.diag(whole_covariance)[columns])
    np.testing.assert_allclose(mean, whole_mean[columns], atol=0.3 * sd.max())
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), sd, rtol=0.2, atol=0.05 * sd.max())
    # Negative control: neither are what they are before the data.
    before = np.exp(kept.priors.log_sd(sites))
    assert not np.allclose(before, sd, rtol=0.2, atol=0.05 * sd.max())
    assert not np.allclose(kept.priors.mean, whole_mean[columns], atol=0.3 * sd.max())
