from unittest.mock import patch

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.basis.hsgp import HSGPBasis
from bayes_intgen.basis.tensor_product import TensorProductBasis
from bayes_intgen.data.rows import MAX_EVALUATED_ROWS, Observations
from bayes_intgen.models.terms import Decomposition

from conftest import confounded_rows

MODEL = bi.models.additive()


def design_matrix(terms: Decomposition, rows: Observations) -> np.ndarray:
    return terms.matrix(rows.inputs, rows.intervened, evaluation=rows.evaluation)


@pytest.fixture(scope="module")
def table() -> bi.RegimeData:
    """Rows with a covariate and a grouping."""
    plain, rng = confounded_rows(60, seed=1), np.random.default_rng(2)
    return bi.RegimeData.from_arrays(
        plain.actions,
        plain.outcome,
        plain.intervened,
        plain.names,
        covariates={"age": rng.normal(size=len(plain))},
        groups={"region": rng.integers(0, 4, len(plain))},
    )


@pytest.fixture(scope="module")
def terms(table: bi.RegimeData) -> Decomposition:
    return MODEL.decompose(table).and_terms(MODEL.candidates(table, len(table)))


def test_functions_are_evaluated_once_for_all_terms_with_them(
    table: bi.RegimeData, terms: Decomposition
) -> None:
    rows, own = table.evaluated(), terms.without([term.name for term in terms.terms[9:]])
    expected = [each.matrix(table.inputs, table.intervened) for each in (own, terms)]
    with patch.object(HSGPBasis, "matrix", autospec=True, side_effect=HSGPBasis.matrix) as matrix:
        first = design_matrix(own, rows)
        evaluations = matrix.call_count
        design_matrix(own, rows)
        assert matrix.call_count == evaluations > 0
        design_matrix(own, table)
        assert matrix.call_count == 2 * evaluations
    np.testing.assert_array_equal(first, expected[0])
    # Designs are copies: changes of one are not in the next.
    first[:] = 0
    np.testing.assert_array_equal(design_matrix(terms, rows), expected[1])
    np.testing.assert_array_equal(design_matrix(own, rows), expected[0])


def test_products_are_not_kept(table: bi.RegimeData, terms: Decomposition) -> None:
    rows = table.evaluated()
    design_matrix(terms, rows)
    bases = [term.component.basis for term in terms.terms]
    products = [basis for basis in bases if isinstance(basis, TensorProductBasis)]
    kept = {basis for basis, _ in rows.evaluation._cache}
    assert products
    assert kept & set(bases)
    assert not kept & set(products)


def test_other_rows_have_functions_of_their_own(table: bi.RegimeData, terms: Decomposition) -> None:
    rows = table.evaluated()
    design_matrix(terms, rows)
    some = rows.take(np.arange(0, len(table), 3))
    expected = terms.matrix(some.inputs, some.intervened)
    np.testing.assert_array_equal(design_matrix(terms, some), expected)
    batches = list(rows.batches(50))
    assert list(map(len, batches)) == [50] * (len(table) // 50) + [len(table) % 50]
    np.testing.assert_array_equal(
        np.concatenate([design_matrix(terms, batch) for batch in batches]),
        terms.matrix(table.inputs, table.intervened),
    )
    (whole,) = rows.batches(len(table))
    assert whole is rows


def test_batches_keep_their_functions_between_passes(
    table: bi.RegimeData, terms: Decomposition
) -> None:
    rows = table.evaluated()
    with patch.object(HSGPBasis, "matrix", autospec=True, side_effect=HSGPBasis.matrix) as matrix:
        for batch in rows.batches(50):
            design_matrix(terms, batch)
        evaluations = matrix.call_count
        for batch in rows.batches(50):
            design_matrix(terms, batch)
        assert matrix.call_count == evaluations > 0
        # Negative control: rows of other batches.
        for batch in rows.batches(60):
            design_matrix(terms, batch)
        assert matrix.call_count > evaluations


def test_functions_of_many_rows_are_not_kept(table: bi.RegimeData) -> None:
    assert table.evaluation is None
    assert table.evaluated().evaluation is not None
    many = table.take(np.resize(np.arange(len(table)), MAX_EVALUATED_ROWS + 1))
    assert many.evaluated() is many


def test_rows_are_sorted_by_unit_once() -> None:
    plain = confounded_rows(60, seed=1)
    patient = np.random.default_rng(3).permutation(np.arange(len(plain)) // 2)
    data = bi.RegimeData.from_arrays(
        plain.actions, plain.outcome, plain.intervened, plain.names, groups={"patient": patient}
    )
    assert data.unit is not None
    assert (np.diff(data.unit) < 0).any()
    rows = data.by_unit()
    np.testing.assert_array_equal(rows.unit, np.sort(data.unit))
    assert rows.by_unit() is rows
