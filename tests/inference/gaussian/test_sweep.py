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


def test_rows_of_the_identity_need_no_sweep() -> None:
    sizes, original = np.array([30, 0, 70]), matrices(3, 70)
    for matrix, size in zip(original, sizes, strict=True):
        matrix[size:], matrix[:, size:] = 0, 0
        matrix[size:, size:] = np.eye(70 - size)
    with jax.enable_x64(True):
        inverse, log_det = inverse_and_log_det(jnp.asarray(original), sizes)
        short, _ = inverse_and_log_det(jnp.asarray(original), np.array([30, 0, 69]))
    np.testing.assert_allclose(inverse, np.linalg.inv(original), rtol=1e-9, atol=1e-12)
    assert float(log_det) == pytest.approx(np.linalg.slogdet(original)[1].sum(), rel=1e-12)
    # Negative control: a row that is left out.
    assert np.abs(np.asarray(short) - np.linalg.inv(original)).max() > 0.01


def test_log_determinant_is_nan_unless_positive_definite() -> None:
    indefinite = matrices(2, 6)
    indefinite[1] -= 2 * np.linalg.eigvalsh(indefinite[1])[0] * np.eye(6)
    with jax.enable_x64(True):
        _, log_det = inverse_and_log_det(jnp.asarray(indefinite), np.array([6, 6]))
    assert np.isnan(log_det)


def test_enclosing_loop_is_compiled_into_one_function() -> None:
    """The purpose of SWEEP, which another version of JAX might defeat."""

    def by_sweep(matrix: jax.Array, count: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, count, lambda _, m: inverse_and_log_det(m, sizes)[0], matrix)

    def by_lapack(matrix: jax.Array, count: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, count, lambda _, m: jnp.linalg.inv(m), matrix)

    matrix, sizes = jnp.asarray(matrices(2, 8)), jnp.array([8, 8])
    fused, unfused = (
        jax.jit(function).lower(matrix, 3).compile().as_text() for function in (by_sweep, by_lapack)
    )
    # The entry computation calls a fused loop and has no loop itself.
    assert "while(" not in fused[fused.index("ENTRY") :]
    # Negative control.
    assert "while(" in unfused[unfused.index("ENTRY") :]
