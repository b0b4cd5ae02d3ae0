from dataclasses import replace

import pytest

import bayes_intgen as bi
from bayes_intgen.api.decomposed_fit import Fit, fit_decomposed
from bayes_intgen.data.additional_rows import with_rows
from bayes_intgen.inference.pilot.reselection import selects_the_same
from bayes_intgen.inference.settings import SamplerSettings

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


def same(fit: Fit, rows: bi.RegimeData, added: bi.RegimeData) -> bool:
    selection = fit.pilot.selection
    assert selection is not None
    return selects_the_same(selection, with_rows(rows, added), added, fit.model, fit.pilot.spread)


def test_selection_is_that_of_a_fit_of_all_rows(interaction: float) -> None:
    rows, added = (with_outcome(each, interaction) for each in (ROWS, ADDED))
    fit, together = fit_of(rows), fit_of(with_rows(rows, added))
    names = [{term.name for term in each.pilot.selection.additions} for each in (fit, together)]
    assert same(fit, rows, added) == (names[0] == names[1])
    assert ("psi(red, green)" in names[0]) or interaction == 0


def test_rows_with_an_interaction_change_it() -> None:
    rows = with_outcome(ROWS, 0.0)
    fit = fit_of(rows)
    selection = fit.pilot.selection
    assert selection is not None
    without = selection._replace(additions=())
    fit = fit._replace(pilot=fit.pilot._replace(selection=without))
    # Strong enough that few rows decide.
    assert not same(fit, rows, with_outcome(ADDED, 3.0))
