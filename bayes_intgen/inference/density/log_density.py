"""Densities over flat vectors, as NUTS sees them, and a NumPyro program as one.

What is compiled belongs to the program and to the shapes of its arguments, not to a data
set: a second fit of a program that takes all it needs as arguments compiles nothing.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.numpyro_adapter import constrained_sites, potential_energy

# A potential is a function of the data that gives a function of the flat unconstrained
# sites, so that the data are arguments of the compiled program and not constants within it.
Potential = Callable[[Any], Callable[[jax.Array], jax.Array]]
Energy = Callable[[Array], tuple[float, Array]]
# Of the data, a function of flat sites and standard normal numbers.
Given = Callable[[Any], Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]]
Program = Callable[..., None]


class LogDensity(NamedTuple):
    """A density over flat vectors of unconstrained sites.

    Attributes
    ----------
    potential : Potential
        Minus its logarithm, for NUTS to differentiate.
    data : pytree of arrays
        Argument of ``potential``.
    energy : callable
        The same with its gradient, by whatever means: for single points.
    given : Given, optional
        ``potential``, and with it a draw of what is integrated out, given the sites: shape (P,),
        as the normal numbers are.
    given_size : int
        How many numbers P that is.
    draw : callable, optional
        A draw of what is integrated out at one flat vector, from standard normal numbers (P,), with
        nothing to compile; there wherever ``given`` is.
    """

    potential: Potential
    data: Any
    energy: Energy
    given: Given | None = None
    given_size: int = 0
    draw: Callable[[Array, Array], Array] | None = None


class FlatLayout:
    """How unconstrained sites are laid flat: one after the other, by name.

    Parameters
    ----------
    sites : mapping from site to array
        Of the shapes that they have.
    """

    def __init__(self, sites: Mapping[str, Any]) -> None:
        self.shapes = tuple((name, np.shape(sites[name])) for name in sorted(sites))
        self.size = sum(int(np.prod(shape)) for _, shape in self.shapes)

    def flat(self, sites: Mapping[str, Any]) -> Array:
        """Values of every site as one vector, shape (D,)."""
        return np.concatenate([np.ravel(sites[name]) for name, _ in self.shapes])

    def sites(self, flat: Any) -> dict[str, Any]:
        """Sites of a flat vector, or of many with any leading shape (..., D)."""
        found, begin = {}, 0
        for name, shape in self.shapes:
            end = begin + int(np.prod(shape))
            found[name] = flat[..., begin:end].reshape((*flat.shape[:-1], *shape))
            begin = end
        return found

    @property
    def positions(self) -> dict[str, Array]:
        """Where each site stands in a flat vector."""
        return {name: np.ravel(index) for name, index in self.sites(np.arange(self.size)).items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FlatLayout) and self.shapes == other.shapes

    def __hash__(self) -> int:
        return hash(self.shapes)


class ProgramDensity:
    """A program's density over unconstrained sites.

    Parameters
    ----------
    program : callable
        A NumPyro program of arrays and pytrees of arrays.
    arguments : tuple
        What it is called with.
    layout : FlatLayout
        Of every latent site.
    device : jax.Device, optional
        Where its arguments are kept, and all that is computed from them therefore runs; where JAX
        runs by default if not given.
    """

    def __init__(
        self,
        program: Program,
        arguments: tuple[Any, ...],
        layout: FlatLayout,
        device: jax.Device | None = None,
    ) -> None:
        self.program = program
        self.arguments = jax.device_put(jax.tree.map(np.asarray, arguments), device)
        self.layout = layout
        self.potential = _potential(program, layout)

    def energy(self, flat: Array) -> tuple[float, Array]:
        """Potential energy and its gradient, shape (D,)."""
        return energy_of(self.potential, self.arguments, flat)

    def constrain(self, flat: Array) -> dict[str, Array]:
        """Sites in their own spaces for flat vectors of any leading shape (..., D)."""
        lead = flat.shape[:-1]
        points = jnp.asarray(flat.reshape(-1, flat.shape[-1]))
        sites = _constrain(self.program, self.layout, self.arguments, points)
        return {name: np.asarray(v).reshape((*lead, *v.shape[1:])) for name, v in sites.items()}


def energy_of(potential: Potential, data: Any, flat: Array) -> tuple[float, Array]:
    """Value and gradient of a potential at one flat vector."""
    value, gradient = _value_and_grad(potential, data, jnp.asarray(flat))
    return float(value), np.asarray(gradient)


def processor() -> jax.Device | None:
    """The first processor that JAX may use; None where it was told to use none."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None


@lru_cache(maxsize=64)
def _potential(program: Program, layout: FlatLayout) -> Potential:
    """One function for each program and layout, by which what is compiled is found again."""

    def of_data(arguments: Any) -> Callable[[jax.Array], jax.Array]:
        return lambda flat: potential_energy(program, arguments, layout.sites(flat))

    return of_data


@partial(jax.jit, static_argnums=0)
def _value_and_grad(
    potential: Potential, arguments: Any, flat: jax.Array
) -> tuple[jax.Array, jax.Array]:
    return jax.value_and_grad(potential(arguments))(flat)


@partial(jax.jit, static_argnums=(0, 1))
def _constrain(program: Program, layout: FlatLayout, arguments: Any, flat: jax.Array) -> Any:
    def one(flat: jax.Array) -> Any:
        return constrained_sites(program, arguments, layout.sites(flat))

    return jax.lax.map(one, flat)
