import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_intgen.inference.gaussian.sweep import inverse_and_log_det


def matrices(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Symmetric positive definite matrices with eigenvalues from 1 to about a thousand."""
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(count, size, 2 * size)) * np.exp(rng.normal(size=(count, size, 1)))
    return np.eye(size) + half @ half.swapaxes(1, 2)


@pytest.mark.parametrize(("count", "size"), [(1, 1), (1, 24), (5, 8), (3, 40), (2, 80)])
@pytest.mark.parametrize(("dtype", "digits"), [(np.float64, 1e-12), (np.float32, 1e-4)])
def test_inverse_and_log_determinant_equal_those_of_numpy(count, size, dtype, digits) -> None:
    original = matrices(count, size)
    with jax.enable_x64(True):
        result = inverse_and_log_det(jnp.asarray(original.astype(dtype)), np.full(count, size))
    inverse, log_det = map(np.asarray, result)
    assert (inverse.dtype, log_det.dtype) == (dtype, np.float64)
    exact = np.linalg.inv(original)
    np.testing.assert_allclose(inverse, exact, atol=digits * np.abs(exact).max())
    assert float(log_det) == pytest.approx(np.linalg.slogdet(original)[1].sum(), rel=digits)
    # Negative control: a matrix that differs in one element.
    original[0, -1, -1] *= 1.1
    assert np.abs(inverse - np.linalg.inv(original)).max() > 10 * digits * np.abs(exact).max()


def test_log_determinant_is_nan_unless_positive_definite() -> None:
    indefinite = matrices(2, 6)
    indefinite[1] -= 2 * np.linalg.eigvalsh(indefinite[1])[0] * np.eye(6)
    with jax.enable_x64(True):
        _, log_det = inverse_and_log_det(jnp.asarray(indefinite), np.array([6, 6]))
    assert np.isnan(log_det)
