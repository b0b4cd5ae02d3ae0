"""A NumPyro program as a density: its mode, its curvature there, its sites."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpyro.infer.initialization import init_to_median
from numpyro.infer.util import initialize_model
from scipy.optimize import minimize
from tqdm.auto import tqdm

from bayes_intgen.bases import Array


class Target:
    """A program's density over unconstrained sites, as NUTS and the search for a mode see it.

    Parameters
    ----------
    program : callable
        A NumPyro program of one argument, a pytree of arrays.
    argument : pytree
        An example of that argument.
    """

    def __init__(self, program: Callable[[Any], None], argument: Any) -> None:
        info = initialize_model(
            jax.random.key(0),
            program,
            init_strategy=init_to_median,
            dynamic_args=True,
            model_args=(argument,),
            validate_grad=False,
        )
        self.potential: Callable[[Any], Callable[[Any], jax.Array]] = info.potential_fn
        self._constrain = info.postprocess_fn
        self.start, self.unravel = ravel_pytree(info.param_info.z)
        self._value_and_grad = jax.jit(
            lambda argument, flat: jax.value_and_grad(
                lambda flat: self.potential(argument)(self.unravel(flat))
            )(flat)
        )

    @property
    def positions(self) -> dict[str, Array]:
        """Where each site stands in a flat vector."""
        order = self.unravel(jnp.arange(len(self.start), dtype=self.start.dtype))
        return {name: np.asarray(index, dtype=int).reshape(-1) for name, index in order.items()}

    def gradient(self, argument: Any, flat: Array) -> tuple[float, Array]:
        """Potential energy and its gradient."""
        value, gradient = self._value_and_grad(argument, jnp.asarray(flat))
        return float(value), np.asarray(gradient)

    def mode(self, argument: Any, start: Array, progress: bool) -> Array:
        """The point of highest density over the unconstrained sites, shape (D,)."""
        with tqdm(
            desc="Search for the mode", unit=" steps", leave=False, disable=not progress
        ) as bar:

            def energy(flat: Array) -> tuple[float, Array]:
                bar.update()
                return self.gradient(argument, flat)

            found = minimize(
                energy,
                start,
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": 300, "maxcor": 40, "ftol": 1e-13, "gtol": 1e-2},
            )
        return np.asarray(found.x)

    def covariance(self, argument: Any, mode: Array, prior_sd: Array) -> Array:
        """Inverse curvature at the mode, never much wider than the prior, shape (D, D)."""
        step = 1e-3 * prior_sd
        rows = [
            (self.gradient(argument, mode + shift)[1] - self.gradient(argument, mode - shift)[1])
            / (2 * shift[i])
            for i, shift in enumerate(np.diag(step))
        ]
        hessian = (np.array(rows) + np.array(rows).T) / 2 * np.outer(prior_sd, prior_sd)
        values, vectors = np.linalg.eigh(hessian)
        root = prior_sd[:, None] * vectors / np.sqrt(np.clip(values, 0.5, None))
        return np.asarray(root @ root.T)

    def constrain(self, argument: Any, flat: Array) -> dict[str, Array]:
        """Sites in their own spaces for flat vectors of any leading shape (..., D)."""
        lead = flat.shape[:-1]

        @jax.jit
        def convert(argument: Any, flat: jax.Array) -> Any:
            return jax.lax.map(lambda one: self._constrain(argument)(self.unravel(one)), flat)

        sites = convert(argument, jnp.asarray(flat.reshape(-1, flat.shape[-1])))
        return {name: np.asarray(v).reshape((*lead, *v.shape[1:])) for name, v in sites.items()}
