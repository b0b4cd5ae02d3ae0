from dataclasses import replace

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.api import decomposed_fit
from bayes_intgen.api.decomposed_fit import Fit, fit_decomposed
from bayes_intgen.basis.karhunen_loeve import KarhunenLoeveBasis
from bayes_intgen.data.additional_rows import with_rows
from bayes_intgen.inference.pilot import reselection
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS
from bayes_intgen.inference.pilot.reselection import reselected_terms
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models.terms import Term

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


def test_selection_is_that_of_a_fit_of_all_rows(interaction: float) -> None:
    rows, added = (with_outcome(each, interaction) for each in (ROWS, ADDED))
    fit, together = fit_of(rows), fit_of(with_rows(rows, added))
    names = [{term.name for term in each.pilot.selection.additions} for each in (fit, together)]
    selected = terms_for(fit, rows, added)
    assert (selected is not None) == (names[0] == names[1])
    # The functions are those of the fit.
    assert selected in (None, fit.pilot.selection.additions)
    assert ("psi(red, green)" in names[0]) or interaction == 0


def test_rows_with_an_interaction_change_it() -> None:
    rows = with_outcome(ROWS, 0.0)
    fit = fit_of(rows)
    selection = fit.pilot.selection
    assert selection is not None
    without = selection._replace(additions=())
    fit = fit._replace(pilot=fit.pilot._replace(selection=without))
    # Strong enough that few rows decide.
    assert terms_for(fit, rows, with_outcome(ADDED, 3.0)) is None


def with_step(rows: bi.RegimeData) -> bi.RegimeData:
    return replace(rows, outcome=rows.outcome + 2.0 * (rows.actions[:, 0] > 0.3))


@pytest.mark.parametrize("sample", [PILOT_ROWS, 600])
def test_finer_functions_are_those_of_a_fit_of_all_rows(monkeypatch, sample: int) -> None:
    for module in (decomposed_fit, reselection):
        monkeypatch.setattr(module, "PILOT_ROWS", sample)
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
