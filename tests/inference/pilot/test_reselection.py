from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.api import decomposed_fit
from bayes_intgen.api.decomposed_fit import Fit, fit_decomposed
from bayes_intgen.basis.karhunen_loeve import KarhunenLoeveBasis
from bayes_intgen.data.additional_rows import with_rows
from bayes_intgen.inference.density.marginal_posterior import QUICK_TOLERANCE, MarginalPosterior
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.inference.pilot import reselection
from bayes_intgen.inference.pilot.pilot import Pilot
from bayes_intgen.inference.pilot.reselection import reselected_terms
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models.terms import Term
from bayes_intgen.models.variance_function import Homoscedastic

from conftest import confounded_rows

ROWS, ADDED = confounded_rows(160, seed=5), confounded_rows(20, seed=6)


def with_outcome(rows: bi.RegimeData, interaction: float) -> bi.RegimeData:
    product = rows.actions[:, 0] * rows.actions[:, 1]
    return replace(rows, outcome=rows.outcome + interaction * product)


@pytest.fixture(scope="module", params=[0.0, 0.3])
def interaction(request) -> float:
    return request.param


def fit_of(rows: bi.RegimeData) -> Fit:
    settings = SamplerSettings(method="laplace", progress=False)
    return fit_decomposed(rows, bi.models.additive("gp"), settings)


def terms_for(fit: Fit, rows: bi.RegimeData, added: bi.RegimeData) -> tuple[Term, ...] | None:
    selection = fit.pilot.selection
    assert selection is not None
    return reselected_terms(selection, with_rows(rows, added), added, fit.model, fit.pilot.spread)


def names_of(terms: Iterable[Term] | None) -> set[str]:
    assert terms is not None
    return {term.name for term in terms}


def test_selection_is_that_of_a_fit_of_all_rows(interaction: float) -> None:
    rows, added = (with_outcome(each, interaction) for each in (ROWS, ADDED))
    fit, together = fit_of(rows), fit_of(with_rows(rows, added))
    before, expected = (names_of(each.pilot.selection.additions) for each in (fit, together))
    selected = terms_for(fit, rows, added)
    assert names_of(selected) == expected
    # The functions are those of the fit.
    assert expected != before or selected is fit.pilot.selection.additions
    assert ("psi(red, green)" in before) or interaction == 0


def without_additions(fit: Fit) -> Fit:
    selection = fit.pilot.selection
    assert selection is not None
    return fit._replace(pilot=fit.pilot._replace(selection=selection._replace(additions=())))


def test_rows_with_an_interaction_change_it() -> None:
    rows = with_outcome(ROWS, 0.0)
    fit = without_additions(fit_of(rows))
    # Strong enough that few rows decide.
    assert "psi(red, green)" in names_of(terms_for(fit, rows, with_outcome(ADDED, 3.0)))
    # Negative control.
    assert "psi(red, green)" not in names_of(terms_for(fit, rows, with_outcome(ADDED, 0.0)))


def test_evidence_near_its_threshold_is_that_of_the_first_fit_of_all_rows(monkeypatch) -> None:
    fit = fit_of(ROWS)
    selection = fit.pilot.selection
    assert selection is not None
    sites = []
    monkeypatch.setattr(reselection, "select_terms", lambda _, at, *rest: sites.append(at) or ())
    # As if the earlier rows had selected another term.
    other = selection._replace(additions=selection.candidates[:1])
    together = with_rows(ROWS, ADDED)
    reselected_terms(other, together, ADDED, fit.model, fit.pilot.spread)
    sums = sufficient_statistics(together, selection.base, Homoscedastic(), False)
    posterior = MarginalPosterior.of(fit.model, selection.base, sums)
    at_mode = posterior.value(Pilot.of(posterior, sums, Homoscedastic(), False).mode)
    before, after = (posterior.value(posterior.point(at, selection.base)) for at in sites)
    assert abs(after - at_mode) < QUICK_TOLERANCE
    # Negative control: those of the earlier rows.
    assert before - at_mode > 5 * QUICK_TOLERANCE


def with_step(rows: bi.RegimeData) -> bi.RegimeData:
    return replace(rows, outcome=rows.outcome + 2.0 * (rows.actions[:, 0] > 0.3))


def test_finer_functions_of_another_action_need_a_new_pilot_fit() -> None:
    rows, added = with_step(confounded_rows(400, seed=5)), with_step(confounded_rows(40, seed=6))
    fit = fit_of(rows)
    assert "phi(red) finer" in names_of(fit.pilot.selection.additions)
    assert terms_for(without_additions(fit), rows, added) is None
    # Negative control.
    assert terms_for(fit, rows, added) is not None


def test_finer_functions_are_those_of_a_fit_of_all_rows() -> None:
    rows, added = with_step(confounded_rows(800, seed=5)), with_step(confounded_rows(80, seed=6))
    fit, together = fit_of(rows), fit_of(with_rows(rows, added))
    names = [[term.name for term in each.pilot.selection.additions] for each in (fit, together)]
    assert "phi(red) finer" in names[0]
    assert set(names[0]) == set(names[1])
    selected = terms_for(fit, rows, added)
    assert selected is not None
    assert [term.name for term in selected] == names[0]
    expected = {term.name: term for term in together.pilot.selection.additions}
    for term, before in zip(selected, fit.pilot.selection.additions, strict=True):
        basis = term.component.basis
        if isinstance(basis, KarhunenLoeveBasis):
            knots = basis.basis.knots
            np.testing.assert_allclose(knots, expected[term.name].component.basis.basis.knots)
            # Negative control: those of the earlier rows.
            assert not np.array_equal(knots, before.component.basis.basis.knots)


def test_terms_compared_on_a_sample_of_the_rows_stay(monkeypatch) -> None:
    for module in (decomposed_fit, reselection):
        monkeypatch.setattr(module, "PILOT_ROWS", 600)
    rows, added = with_step(confounded_rows(800, seed=5)), with_step(confounded_rows(80, seed=6))
    fit = fit_of(rows)
    earlier = fit.pilot.selection.additions
    assert "phi(red) finer" in names_of(earlier)
    assert terms_for(fit, rows, added) is earlier
    # Negative control: without a limit they are compared again.
    monkeypatch.setattr(reselection, "PILOT_ROWS", len(rows) + len(added))
    assert terms_for(fit, rows, added) is not earlier
