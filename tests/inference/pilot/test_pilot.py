import jax
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.density.marginal_posterior import NEAR
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.inference.pilot import pilot as module
from bayes_intgen.inference.pilot.pilot import Pilot, pilot_fit
from bayes_intgen.models.variance_function import Homoscedastic


def piloted(data, held=None, others=None) -> Pilot:
    model = bi.models.additive("spline")
    terms = model.decompose(data if held is None else held)
    with jax.enable_x64(True):
        return pilot_fit(data, model, terms, (), False, held, others)


def assert_of_all_rows(pilot: Pilot, data: bi.RegimeData) -> None:
    """That the sums are those of one pass over all rows, and their mode a mode."""
    expected = sufficient_statistics(data, pilot.posterior.terms, pilot.spread, False)
    for one, other in zip(pilot.sums[:-1], expected[:-1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-9)
    known, too = pilot.sums.known, expected.known
    assert (known is None) == (too is None)
    if known is not None:
        np.testing.assert_allclose(known.outcome, too.outcome)
        np.testing.assert_allclose(known.matrix, too.matrix)
    posterior = pilot.posterior
    best = posterior.value(posterior.mode(pilot.mode, progress=False))
    assert best <= posterior.value(pilot.mode) < best + 3 * NEAR


@pytest.mark.parametrize("lifted", [False, True])
def test_rows_that_are_held_and_others_are_summed_once(data, lifted, monkeypatch) -> None:
    if lifted:
        data = data.add_lift_test("red", -0.5, 0.5, effect=0.9, se=0.05)
    held, others = data.split(450)
    summed = []

    def recorded(rows, *rest):
        summed.append(len(rows))
        return sufficient_statistics(rows, *rest)

    monkeypatch.setattr(module, "sums_over", recorded)
    pilot = piloted(data, held, others)
    # The first fit's, and then those that no pass has seen.
    assert summed == [len(held), len(others)]
    assert_of_all_rows(pilot, data)
    # Where the others would have to be read again, all are.
    summed.clear()
    assert_of_all_rows(piloted(data, held), data)
    assert summed == [len(held), len(data)]
    # Negative control: the rows that are held are not all.
    assert pilot.sums.rows > piloted(held).sums.rows == len(held)


def test_the_variance_function_is_of_a_sample_and_the_sums_of_all_rows(data, monkeypatch) -> None:
    whole = piloted(data)
    monkeypatch.setattr(module, "SPREAD_ROWS", len(data) // 2)
    part = piloted(data)
    assert_of_all_rows(part, data)
    at = data.actions, data.intervened
    of_whole, of_part = (np.log(pilot.spread(*at)) for pilot in (whole, part))
    # Noise of one variance: both estimates are near it, and of different rows.
    for found in (of_whole, of_part):
        assert np.abs(found).max() < 1
    assert np.abs(of_whole - of_part).max() > 0.01
    assert part.sites["noise_sd"] == pytest.approx(whole.sites["noise_sd"], rel=0.05)
    assert not isinstance(part.spread, Homoscedastic)
