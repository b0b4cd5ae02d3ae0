from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen.data.outcome_scale import on_scale
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.models.variance_function import VarianceFunction

from conftest import confounded_rows

COLUMNS = (["red", "green"], "sales", "regime")


@pytest.fixture(scope="module")
def rows() -> bi.RegimeData:
    data = confounded_rows(200, seed=0)
    return replace(data, outcome=np.exp(data.outcome), outcome_name="sales")


def frame_of(rows: bi.RegimeData) -> pd.DataFrame:
    regime = ["+".join(np.array(rows.names)[mask]) for mask in rows.intervened]
    columns = dict(zip(rows.names, rows.actions.T, strict=True))
    return pd.DataFrame({**columns, "sales": rows.outcome, "regime": regime})


def test_logarithms_of_rows_in_memory_and_of_a_stream_have_the_same_statistics(rows) -> None:
    frame = frame_of(rows)
    tables = [frame[:100], frame[100:]]
    stream = bi.StreamedData.from_batches(tables, *COLUMNS, progress=False)
    model = bi.models.multiplicative("linear")
    scaled = [on_scale(data, model.link) for data in (rows, stream)]
    terms = model.decompose(scaled[0].in_memory)
    of_memory, of_stream = (
        sufficient_statistics(data, terms, VarianceFunction(), False) for data in scaled
    )
    np.testing.assert_allclose(of_stream.xy, of_memory.xy, rtol=1e-12, atol=1e-11)
    np.testing.assert_array_equal(np.log(rows.outcome), scaled[0].in_memory.outcome)
    assert (len(scaled[1]), scaled[1].regimes) == (len(rows), rows.regimes)
    # Negative control: the outcome itself.
    raw = sufficient_statistics(rows, terms, VarianceFunction(), False)
    assert np.abs(raw.xy - of_memory.xy).max() > 10


@pytest.mark.parametrize("value", [0.0, -2.5])
def test_outcomes_that_are_not_positive_are_named(rows, value) -> None:
    outcome = rows.outcome.copy()
    outcome[250] = value
    spoilt = replace(rows, outcome=outcome)
    with pytest.raises(bi.DataError, match=rf"{value:g} in row 250 \(do\(red\)\).*1 of 600 rows"):
        bi.fit(spoilt, bi.models.multiplicative("linear"), progress=False)
    with pytest.raises(bi.DataError, match="drop these rows.*0/1 outcome.*additive"):
        bi.check(spoilt, bi.models.multiplicative("linear"), progress=False)
    stream = bi.StreamedData.from_batches([frame_of(spoilt)], *COLUMNS, progress=False)
    with pytest.raises(bi.DataError, match=rf"is {value:g} in a row \(do\(red\)\)"):
        on_scale(stream, "log")


def test_means_of_units_and_lift_tests_are_refused(rows) -> None:
    weighted = replace(rows, weights=np.full(len(rows), 2.0))
    with pytest.raises(bi.ModelError, match="one row per unit"):
        on_scale(weighted, "log")
    assert on_scale(replace(rows, weights=np.ones(len(rows))), "log").weights is None
    tested = rows.add_lift_test("red", 0.0, 1.0, effect=0.8, se=0.1)
    with pytest.raises(bi.ModelError, match="omit the lift tests"):
        on_scale(tested, "log")
    assert on_scale(tested, "identity") is tested
