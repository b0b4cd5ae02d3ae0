"""Hyperpriors as a JAX pytree, and lookups in them with a fast derivative.

A program that takes hyperpriors as arguments is compiled once per shape instead of once per data
set.
"""

import jax
import jax.numpy as jnp

from bayes_intgen.models.hyperpriors import PER_COEFFICIENT, Hyperpriors


@jax.custom_vjp
def gather(values: jax.Array, index: jax.Array) -> jax.Array:
    """Gather ``values[index]``, with a matrix product as its derivative.

    The compiled scatter-add of the default derivative is slower.
    """
    return values[index]


def _forward(values: jax.Array, index: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return values[index], (index, jnp.arange(len(values)))


def _backward(
    residuals: tuple[jax.Array, jax.Array], cotangent: jax.Array
) -> tuple[jax.Array, None]:
    index, positions = residuals
    return cotangent @ (index[:, None] == positions).astype(cotangent.dtype), None


gather.defvjp(_forward, _backward)

jax.tree_util.register_dataclass(
    Hyperpriors,
    data_fields=["scale", "lengthscale", "noise_sd", *PER_COEFFICIENT],
    meta_fields=["kernels"],
)
