import numpy as np
import pytest

from bayes_intgen.models.sparse_features import SparseFeatures

RNG = np.random.default_rng(0)
ROWS, SIZE = 50, 9
# Distinct columns per row, in random order.
COLUMNS = np.argsort(RNG.random((ROWS, SIZE)), axis=1)[:, :4]
VALUES = RNG.normal(size=COLUMNS.shape)
FEATURES = SparseFeatures(VALUES, COLUMNS, SIZE)
DENSE = np.zeros((ROWS, SIZE))
np.put_along_axis(DENSE, COLUMNS, VALUES, axis=1)


@pytest.mark.parametrize("shape", [(), (3,)])
@pytest.mark.parametrize("complex_part", [0, 1j])
def test_products_equal_those_of_the_dense_matrix(shape, complex_part) -> None:
    right = RNG.normal(size=(SIZE, *shape)) + complex_part * RNG.normal(size=(SIZE, *shape))
    left = RNG.normal(size=(ROWS, *shape)) + complex_part * RNG.normal(size=(ROWS, *shape))
    np.testing.assert_allclose(FEATURES @ right, DENSE @ right, rtol=1e-12)
    np.testing.assert_allclose(FEATURES.transposed_times(left), DENSE.T @ left, rtol=1e-12)
    assert (FEATURES @ right).dtype == right.dtype


def test_gram_matrix_equals_that_of_the_dense_matrix() -> None:
    # Weights of any sign: observed information has negative ones.
    weights = RNG.normal(size=ROWS)
    gram = FEATURES.gram(weights)
    np.testing.assert_allclose(gram, (DENSE.T * weights) @ DENSE, atol=1e-12)
    np.testing.assert_allclose(gram, gram.T, atol=1e-12)
    # Negative control: other weights.
    assert not np.allclose(gram, FEATURES.gram(np.ones(ROWS)))


def test_features_of_one_column_add_up() -> None:
    columns = np.array([[0, 2, 2], [1, 0, 1]])
    values = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    dense = np.array([[1.0, 0.0, 5.0], [5.0, 10.0, 0.0]])
    features, weights = SparseFeatures(values, columns, 3), np.array([1.0, 2.0])
    np.testing.assert_allclose(features @ np.ones(3), dense.sum(axis=1))
    np.testing.assert_allclose(features.gram(weights), (dense.T * weights) @ dense)
