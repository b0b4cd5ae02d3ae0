"""A NumPyro program as a density over a flat vector: its mode, its curvature, its sites.

What is compiled belongs to the program and to the shapes of its arguments, not to a data
set: a second fit of a program that takes all it needs as arguments compiles nothing.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer.util import constrain_fn, potential_energy
from scipy.optimize import minimize
from tqdm.auto import tqdm

from bayes_intgen.bases import Array

# A potential is a function of the data that gives a function of the flat unconstrained
# sites, so that the data are arguments of the compiled program and not constants within it.
Potential = Callable[[Any], Callable[[jax.Array], jax.Array]]
Program = Callable[..., None]
# Names and shapes of the unconstrained sites, in the order in which they are laid flat.
Layout = tuple[tuple[str, tuple[int, ...]], ...]


class Target:
    """A program's density over unconstrained sites, as NUTS and the search for a mode see it.

    Parameters
    ----------
    program : callable
        A NumPyro program of arrays and pytrees of arrays.
    arguments : tuple
        What it is called with.
    start : mapping from site to unconstrained values
        Of every latent site.
    """

    def __init__(
        self, program: Program, arguments: tuple[Any, ...], start: Mapping[str, Array]
    ) -> None:
        self.program = program
        self.arguments = jax.tree.map(jnp.asarray, arguments)
        self.layout: Layout = tuple((name, np.shape(start[name])) for name in sorted(start))
        self.start = self.flat(start)
        self.potential = _potential(program, self.layout)

    def flat(self, sites: Mapping[str, Array]) -> Array:
        """Unconstrained values of every site as one vector, shape (D,)."""
        return np.concatenate([np.ravel(sites[name]) for name, _ in self.layout])

    @property
    def positions(self) -> dict[str, Array]:
        """Where each site stands in a flat vector."""
        return {
            name: np.ravel(index)
            for name, index in _unflatten(self.layout, np.arange(len(self.start))).items()
        }

    def gradient(self, flat: Array) -> tuple[float, Array]:
        """Potential energy and its gradient."""
        value, gradient = _value_and_grad(self.potential, self.arguments, jnp.asarray(flat))
        return float(value), np.asarray(gradient)

    def mode(self, start: Array, progress: bool) -> Array:
        """The point of highest density over the unconstrained sites, shape (D,)."""
        with tqdm(
            desc="Search for the mode", unit=" steps", leave=False, disable=not progress
        ) as bar:

            def energy(flat: Array) -> tuple[float, Array]:
                bar.update()
                return self.gradient(flat)

            found = minimize(
                energy,
                start,
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": 300, "maxcor": 40, "ftol": 1e-13, "gtol": 1e-2},
            )
        return np.asarray(found.x)

    def covariance(self, mode: Array, prior_sd: Array) -> Array:
        """Inverse curvature at the mode, never much wider than the prior, shape (D, D)."""
        step = 1e-3 * prior_sd
        rows = [
            (self.gradient(mode + shift)[1] - self.gradient(mode - shift)[1]) / (2 * shift[i])
            for i, shift in enumerate(np.diag(step))
        ]
        hessian = (np.array(rows) + np.array(rows).T) / 2 * np.outer(prior_sd, prior_sd)
        values, vectors = np.linalg.eigh(hessian)
        root = prior_sd[:, None] * vectors / np.sqrt(np.clip(values, 0.5, None))
        return np.asarray(root @ root.T)

    def constrain(self, flat: Array) -> dict[str, Array]:
        """Sites in their own spaces for flat vectors of any leading shape (..., D)."""
        lead = flat.shape[:-1]
        points = jnp.asarray(flat.reshape(-1, flat.shape[-1]))
        sites = _constrain(self.program, self.layout, self.arguments, points)
        return {name: np.asarray(v).reshape((*lead, *v.shape[1:])) for name, v in sites.items()}


def _unflatten(layout: Layout, flat: Any) -> dict[str, Any]:
    sites, begin = {}, 0
    for name, shape in layout:
        end = begin + int(np.prod(shape))
        sites[name] = flat[begin:end].reshape(shape)
        begin = end
    return sites


@lru_cache(maxsize=64)
def _potential(program: Program, layout: Layout) -> Potential:
    """One function for each program and layout, by which what is compiled is found again."""

    def of_data(arguments: Any) -> Callable[[jax.Array], jax.Array]:
        return lambda flat: jnp.asarray(
            potential_energy(program, arguments, {}, _unflatten(layout, flat))
        )

    return of_data


@partial(jax.jit, static_argnums=0)
def _value_and_grad(
    potential: Potential, arguments: Any, flat: jax.Array
) -> tuple[jax.Array, jax.Array]:
    return jax.value_and_grad(potential(arguments))(flat)


@partial(jax.jit, static_argnums=(0, 1))
def _constrain(program: Program, layout: Layout, arguments: Any, flat: jax.Array) -> Any:
    def one(flat: jax.Array) -> Any:
        sites = _unflatten(layout, flat)
        return constrain_fn(program, arguments, {}, sites, return_deterministic=True)

    return jax.lax.map(one, flat)
