import jax
import numpy as np
import pytest

from bayes_intgen.inference.gaussian.factor import (
    cholesky,
    inverse_and_log_det,
    orthonormal_basis,
    swept_inverse_and_log_det,
)


def matrices(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Symmetric positive definite matrices with eigenvalues from 1 to about a thousand."""
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(count, size, 2 * size)) * np.exp(rng.normal(size=(count, size, 1)))
    return np.eye(size) + half @ half.swapaxes(1, 2)


@pytest.mark.parametrize(("count", "size"), [(1, 1), (1, 24), (5, 8), (3, 40), (2, 80)])
@pytest.mark.parametrize(("dtype", "digits"), [(np.float64, 1e-12), (np.float32, 1e-4)])
@pytest.mark.parametrize("function", [swept_inverse_and_log_det, inverse_and_log_det])
def test_inverses_and_log_determinants_agree(function, count, size, dtype, digits) -> None:
    original = matrices(count, size)
    with jax.enable_x64(True):
        result = function(original.astype(dtype), np.full(count, size))
    inverse, log_det = map(np.asarray, result)
    assert (inverse.dtype, log_det.dtype) == (dtype, np.float64)
    exact = np.linalg.inv(original)
    np.testing.assert_allclose(inverse, exact, atol=digits * np.abs(exact).max())
    assert float(log_det) == pytest.approx(np.linalg.slogdet(original)[1].sum(), rel=digits)
    # Negative control: a matrix that differs in one element.
    original[0, -1, -1] *= 1.1
    assert np.abs(inverse - np.linalg.inv(original)).max() > 10 * digits * np.abs(exact).max()


@pytest.mark.parametrize("function", [swept_inverse_and_log_det, inverse_and_log_det])
def test_log_determinant_is_nan_unless_positive_definite(function) -> None:
    indefinite = matrices(2, 6)
    indefinite[1] -= 2 * np.linalg.eigvalsh(indefinite[1])[0] * np.eye(6)
    with jax.enable_x64(True):
        _, log_det = function(indefinite, np.array([6, 6]))
    assert np.isnan(log_det)


def test_cholesky_factors_have_jitter_against_rounding_and_nan_beyond_it() -> None:
    matrix = matrices(1, 2)[0]
    # The second row is twice the first, up to rounding.
    singular = np.array([[1.0, 2.0], [2.0, 4.0 - 1e-15]])
    for positive in (matrix, singular):
        factor = cholesky(positive)
        np.testing.assert_allclose(factor @ factor.T, positive, rtol=1e-12)
    assert np.isnan(cholesky(-matrix)).all()


@pytest.mark.parametrize(("gap", "rank"), [(1.0, 5), (1e-3, 5), (3e-5, 5), (0.0, 4)])
def test_basis_projects_on_the_span(gap: float, rank: int) -> None:
    """Nearly collinear columns (3e-5) need a singular value decomposition."""
    # Of different units, the last of which is nearly a sum of two others.
    columns = np.random.default_rng(0).normal(size=(200, 5)) * [1, 1e3, 1e-3, 1, 1]
    columns[:, 4] = columns[:, 0] + columns[:, 3] + gap * columns[:, 4]
    basis = orthonormal_basis(columns, 1e-6)
    assert basis.shape == (200, rank)
    np.testing.assert_allclose(basis.T @ basis, np.eye(rank), atol=1e-7)
    left = np.linalg.qr(columns[:, :rank])[0]
    np.testing.assert_allclose(basis @ basis.T, left @ left.T, atol=1e-6)
    # Negative control: another column of the same length is not in the span.
    other = np.random.default_rng(1).normal(size=200)
    assert np.linalg.norm(basis.T @ other) < 0.5 * np.linalg.norm(other)
