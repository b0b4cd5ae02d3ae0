from dataclasses import replace

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.api.decomposed_fit import Fit, fit_decomposed
from bayes_intgen.data.additional_rows import with_rows
from bayes_intgen.inference.pilot.needs_new_pilot import MAX_GROWTH, needs_new_pilot
from bayes_intgen.inference.settings import SamplerSettings

from conftest import confounded_rows

ROWS = confounded_rows(160, seed=5)


@pytest.fixture(scope="module")
def fit() -> Fit:
    settings = SamplerSettings(method="laplace", progress=False)
    return fit_decomposed(ROWS, bi.models.additive("gp"), settings)


def needs(fit: Fit, added: bi.RegimeData) -> bool:
    data = with_rows(ROWS, added)
    return needs_new_pilot(data, len(ROWS), fit.model, fit.pilot, fit.sampled)


ADDED = confounded_rows(15, seed=6)
PLACE = int(np.argmax(ADDED.actions[:, 0]))


def changed(name: str, value: float) -> bi.RegimeData:
    values = getattr(ADDED, name).copy()
    values[PLACE, ...] = value if values.ndim == 1 else [value, *values[PLACE, 1:]]
    return replace(ADDED, **{name: values})


def test_rows_like_those_of_the_fit_need_none(fit) -> None:
    assert not needs(fit, ADDED)
    high = fit.pilot.posterior.terms.coordinates[0].high
    assert ADDED.actions[:, 0].max() < high
    # One value beyond the range, but not far.
    truth = np.sin(high + 0.2) - np.sin(ADDED.actions[PLACE, 0])
    beyond = replace(changed("actions", high + 0.2), outcome=changed("outcome", 0.0).outcome)
    beyond.outcome[PLACE] = ADDED.outcome[PLACE] + truth
    assert not needs(fit, beyond)


@pytest.mark.parametrize(
    "of", ["no rows", "rows", "range", "outcome", "typing error", "mask", "lift test"]
)
def test_other_rows_need_a_new_pilot_fit(fit, of: str) -> None:
    added = {
        "no rows": lambda: ADDED.take(slice(0, 0)),
        "rows": lambda: confounded_rows(int(MAX_GROWTH * 160) + 1, seed=6),
        "range": lambda: changed("actions", 9.0),
        "outcome": lambda: replace(ADDED, outcome=ADDED.outcome + 0.5),
        "typing error": lambda: changed("outcome", 1000.0),
        "mask": lambda: replace(ADDED, intervened=np.ones_like(ADDED.intervened)),
        "lift test": lambda: ADDED.add_lift_test("red", 0.0, 1.0, effect=0.8, se=0.1),
    }[of]()
    assert needs(fit, added)


def test_some_fits_always_need_one(fit) -> None:
    with_log_link = fit._replace(model=replace(fit.model, link="log"))
    assert needs(with_log_link, ADDED)
    assert not needs(fit, ADDED)
