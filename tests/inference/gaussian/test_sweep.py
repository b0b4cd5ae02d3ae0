import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_intgen.inference.gaussian.sweep import inverse_and_log_det


def matrices(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Symmetric, positive definite, with eigenvalues from 1 to a thousand or so."""
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(count, size, 2 * size)) * np.exp(rng.normal(size=(count, size, 1)))
    return np.eye(size) + half @ half.swapaxes(1, 2)


@pytest.mark.parametrize(("count", "size"), [(1, 1), (1, 24), (5, 8), (3, 40)])
@pytest.mark.parametrize(("dtype", "digits"), [(np.float64, 1e-12), (np.float32, 1e-4)])
def test_it_is_the_inverse_and_the_log_determinant(count, size, dtype, digits) -> None:
    given = matrices(count, size)
    with jax.enable_x64(True):
        found = inverse_and_log_det(jnp.asarray(given.astype(dtype)))
    inverse, log_det = map(np.asarray, found)
    assert (inverse.dtype, log_det.dtype) == (dtype, np.float64)
    exact = np.linalg.inv(given)
    np.testing.assert_allclose(inverse, exact, atol=digits * np.abs(exact).max())
    assert float(log_det) == pytest.approx(np.linalg.slogdet(given)[1].sum(), rel=digits)
    # Negative control: of a matrix that is another in one place.
    given[0, -1, -1] *= 1.1
    assert np.abs(inverse - np.linalg.inv(given)).max() > 10 * digits * np.abs(exact).max()


def test_a_matrix_that_is_not_positive_definite_has_no_log_determinant() -> None:
    given = matrices(2, 6)
    given[1] -= 2 * np.linalg.eigvalsh(given[1])[0] * np.eye(6)
    with jax.enable_x64(True):
        _, log_det = inverse_and_log_det(jnp.asarray(given))
    assert np.isnan(log_det)


def test_a_loop_around_it_is_compiled_into_one_function() -> None:
    # Not that it must be; but it is what it is for, and another version of JAX may do otherwise.
    def often(given: jax.Array, count: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, count, lambda _, m: inverse_and_log_det(m)[0], given)

    def by_library(given: jax.Array, count: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, count, lambda _, m: jnp.linalg.inv(m), given)

    given = jnp.asarray(matrices(2, 8))
    one, many = (jax.jit(f).lower(given, 3).compile().as_text() for f in (often, by_library))
    # Where a loop became one function, the program calls it and has no loop of its own.
    assert "while(" not in one[one.index("ENTRY") :]
    # Negative control.
    assert "while(" in many[many.index("ENTRY") :]
