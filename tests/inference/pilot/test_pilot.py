from typing import ClassVar

import jax
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.density.marginal_posterior import QUICK_TOLERANCE, MarginalPosterior
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.inference.pilot.pilot import SPREAD_ROWS, Pilot, pilot_fit
from bayes_intgen.models.variance_function import Homoscedastic

from conftest import confounded_rows

MODEL = bi.models.additive("spline")


def fit_pilot(data, sample=None, remainder=None, terms=None) -> Pilot:
    terms = terms or MODEL.decompose(data if sample is None else sample)
    with jax.enable_x64(True):
        return pilot_fit(data, MODEL, terms, (), False, sample, remainder)


def assert_fitted_to_all_rows(pilot: Pilot, data: bi.RegimeData) -> None:
    """The statistics equal those of one pass over all rows, and the mode is a mode."""
    expected = sufficient_statistics(data, pilot.posterior.terms, pilot.spread, False)
    for one, other in zip(pilot.sums[:-1], expected[:-1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-9)
    assert (pilot.sums.known is None) == (expected.known is None)
    if expected.known is not None:
        np.testing.assert_allclose(pilot.sums.known.outcome, expected.known.outcome)
        np.testing.assert_allclose(pilot.sums.known.matrix, expected.known.matrix)
    posterior = pilot.posterior
    best = posterior.value(posterior.mode(pilot.mode, progress=False))
    assert best <= posterior.value(pilot.mode) < best + 3 * QUICK_TOLERANCE


class CountedRows(bi.RegimeData):
    """Rows that record the size of every data set that a pass reads."""

    passes: ClassVar[list[int]] = []

    def batches(self, rows):
        self.passes.append(len(self))
        return super().batches(rows)


@pytest.mark.parametrize("with_lift_test", [False, True])
def test_rows_outside_the_sample_are_read_once(data, with_lift_test) -> None:
    counted = CountedRows(
        data.names, data.outcome_name, data.actions, data.outcome, data.intervened
    )
    if with_lift_test:
        counted = counted.add_lift_test("red", -0.5, 0.5, effect=0.9, se=0.05)
    sample, remainder = counted.split(600)
    sizes = len(sample), len(remainder), len(counted)
    assert len(set(sizes)) == 3
    counted.passes.clear()
    pilot = fit_pilot(counted, sample, remainder)
    # First fit, residuals and candidates read the sample; its statistics are reused.
    assert [counted.passes.count(size) for size in sizes] == [3, 1, 0]
    assert_fitted_to_all_rows(pilot, counted)
    # If the remaining rows are not in memory, one pass reads all rows.
    counted.passes.clear()
    pilot = fit_pilot(counted, sample)
    assert [counted.passes.count(size) for size in sizes] == [3, 0, 1]
    assert_fitted_to_all_rows(pilot, counted)
    # Negative control: the sample alone has fewer rows.
    assert pilot.sums.rows > fit_pilot(sample).sums.rows == len(sample)


def test_variance_function_comes_from_a_sample_and_statistics_from_all_rows() -> None:
    data = confounded_rows(SPREAD_ROWS // 3 + 1000, seed=1)
    sample = data.sample(SPREAD_ROWS)
    # A larger sample, with extremes added, would be sampled again.
    assert len(sample) == SPREAD_ROWS < len(data)
    terms = MODEL.decompose(data)
    whole, part = fit_pilot(data, terms=terms), fit_pilot(sample, terms=terms)
    assert_fitted_to_all_rows(whole, data)
    assert not isinstance(whole.spread, Homoscedastic)
    np.testing.assert_allclose(whole.spread.knot_values, part.spread.knot_values, rtol=1e-9)
    # Negative control: other rows give another estimate.
    other = fit_pilot(data.split(len(data) // 2)[0], terms=terms)
    assert not np.allclose(whole.spread.knot_values, other.spread.knot_values, rtol=0.01)
    assert whole.sites["noise_sd"] == pytest.approx(part.sites["noise_sd"], rel=0.05)
    assert whole.sums.rows > part.sums.rows


def test_second_search_with_random_effects_starts_at_the_first_mode(monkeypatch) -> None:
    """It reaches the same density as a search from the prior medians."""
    rng = np.random.default_rng(5)
    patient = np.repeat(np.arange(150), 3)
    actions = rng.normal(size=(450, 1))
    outcome = actions[:, 0] + rng.normal(size=150)[patient] + rng.normal(size=450)
    data = bi.RegimeData.from_arrays(
        actions, outcome, (patient % 2 == 1)[:, None], groups={"patient": patient.astype(str)}
    )
    searches, search = [], MarginalPosterior.mode

    def recorded(self, start, progress, tolerance=1e-6):
        mode = search(self, start, progress, tolerance)
        searches.append((self, start, mode))
        return mode

    monkeypatch.setattr(MarginalPosterior, "mode", recorded)
    fit_pilot(data)
    (before, _, first), (posterior, start, second), *_ = searches
    assert before.terms.random_effects.ratio != posterior.terms.random_effects.ratio
    np.testing.assert_array_equal(start, first)
    from_prior = posterior.value(search(posterior, posterior.start, False))
    assert posterior.value(second) < from_prior + 3 * QUICK_TOLERANCE
    # Negative control: the prior medians are far from the mode.
    assert posterior.value(posterior.start) > from_prior + 10 * QUICK_TOLERANCE
