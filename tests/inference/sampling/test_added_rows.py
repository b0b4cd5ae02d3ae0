from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

import bayes_intgen as bi
from bayes_intgen.api.decomposed_fit import Fit, fit_decomposed
from bayes_intgen.data.additional_rows import with_rows
from bayes_intgen.inference.sampled_model import SampledModel
from bayes_intgen.inference.sampling import added_rows
from bayes_intgen.inference.sampling.added_rows import sample_with_added_rows
from bayes_intgen.inference.settings import SamplerSettings

from conftest import confounded_rows

BEFORE, ADDED = confounded_rows(300, seed=5), confounded_rows(30, seed=6)
ALL = with_rows(BEFORE, ADDED)
POINTS = np.array([[0.0, 0.0], [0.5, 1.25], [-0.5, -1.25], [1.0, 0.0], [0.0, 1.0]])
SET = np.ones(POINTS.shape, dtype=bool)
MODEL = bi.models.additive("gp")


def settings(**options) -> SamplerSettings:
    return SamplerSettings(progress=False, **options)


def effect(sampled: SampledModel) -> np.ndarray:
    """Draws of the joint effect, (chain, draw, point)."""
    terms = sampled.terms
    return sampled.coefficients @ terms.matrix(POINTS, SET).T + terms.centre


def updated(fit: Fit) -> SampledModel | None:
    return sample_with_added_rows(
        ALL, len(BEFORE), MODEL, fit.pilot, fit.sampled, replace(fit.settings, method="laplace")
    )


@pytest.fixture(scope="module", params=["nuts", "laplace"])
def before(request) -> Fit:
    return fit_decomposed(BEFORE, MODEL, settings(method=request.param))


def test_the_posterior_is_that_of_a_fit_of_all_rows(before) -> None:
    sampled = updated(before)
    assert sampled is not None
    assert sampled.importance is not None
    assert sampled.importance.is_reliable
    together = fit_decomposed(ALL, MODEL, settings(seed=3, draws=1000))
    one, other, earlier = map(effect, (sampled, together.sampled, before.sampled))
    limit = -norm.ppf(0.0005 / (2 * len(POINTS)))
    ess = sampled.importance.importance_ess

    def distances(draws: np.ndarray) -> np.ndarray:
        # Coefficients are drawn independently: the effect has more effective draws.
        error = np.sqrt(draws.var((0, 1)) / ess + other.var((0, 1)) / 1000)
        return np.abs(draws.mean((0, 1)) - other.mean((0, 1))) / error

    assert (distances(one) < limit).all()
    ratio = one.std((0, 1)) / other.std((0, 1))
    assert (np.abs(np.log(ratio)) < limit * np.sqrt(0.5 / ess + 0.5 / 1000)).all()
    # Negative control: the posterior without the added rows.
    assert (distances(earlier) > limit).any()


@pytest.mark.parametrize(("interaction", "seed"), [(0.15, 7), (0.1, 9)], ids=["more", "fewer"])
def test_the_posterior_has_the_terms_of_a_fit_of_all_rows(interaction: float, seed: int) -> None:
    rows, added = (
        replace(each, outcome=each.outcome + interaction * each.actions.prod(axis=1))
        for each in (confounded_rows(100, seed=seed), confounded_rows(12, seed=seed + 1))
    )
    together = with_rows(rows, added)
    before, after = (fit_decomposed(x, MODEL, settings(method="laplace")) for x in (rows, together))
    names = [[t.name for t in fit.pilot.selection.additions] for fit in (before, after)]
    assert sorted(names, key=len) == [[], ["psi(red, green)"]]
    sampled = sample_with_added_rows(
        together, len(rows), MODEL, before.pilot, before.sampled, before.settings
    )
    assert sampled is not None
    assert {term.name for term in sampled.terms.terms} == {
        term.name for term in after.sampled.terms.terms
    }
    one, other, earlier = map(effect, (sampled, after.sampled, before.sampled))
    ess = [fit.importance.importance_ess for fit in (sampled, after.sampled)]
    error = np.sqrt(sum(each.var((0, 1)) / n for each, n in zip((one, other), ess, strict=True)))

    def distances(draws: np.ndarray) -> np.ndarray:
        return np.abs(draws.mean((0, 1)) - other.mean((0, 1))) / error

    limit = -norm.ppf(0.0005 / (2 * len(POINTS)))
    assert (distances(one) < limit).all()
    # Negative control: the posterior without the added rows.
    assert (distances(earlier) > limit).any()


def test_correlated_draws_of_nuts_do_not_count_as_effective(before, monkeypatch) -> None:
    if before.sampled.importance is not None:
        pytest.skip("draws of a Laplace approximation are independent of each other")

    def standing_still(own: np.ndarray) -> np.ndarray:
        return np.repeat(own[:, :40], 6, axis=1)

    sampled = before.sampled
    repeated = sampled._replace(
        sites={name: standing_still(own) for name, own in sampled.sites.items()},
        coefficients=standing_still(sampled.coefficients),
        statistics={name: standing_still(own) for name, own in sampled.statistics.items()},
    )
    # Too few for the second attempt, with proposals from the moments of the draws.
    monkeypatch.setattr(added_rows, "MAX_PROPOSALS", 200)
    # Of 960 draws 160 are distinct: fewer than an update needs.
    assert updated(before._replace(sampled=repeated)) is None
    assert updated(before) is not None


def test_unreliable_weights_give_no_posterior(before, monkeypatch) -> None:
    monkeypatch.setattr(added_rows, "MAX_DRAWS", 40)
    monkeypatch.setattr(added_rows, "BATCH_SIZE", 40)
    monkeypatch.setattr(added_rows, "MAX_PROPOSALS", 200)
    assert updated(before) is None


def test_few_draws_give_no_posterior(before) -> None:
    sampled = before.sampled
    few = sampled._replace(
        sites={name: own[:1, :3] for name, own in sampled.sites.items()},
        coefficients=sampled.coefficients[:1, :3],
        statistics={name: own[:1, :3] for name, own in sampled.statistics.items()},
    )
    assert updated(before._replace(sampled=few)) is None


def test_rows_that_need_a_new_pilot_fit_give_no_posterior(before, monkeypatch) -> None:
    monkeypatch.setattr(added_rows, "needs_new_pilot", lambda *_: True)
    assert updated(before) is None
