"""Libraries that are imported at their first use.

Most questions to a saved fit need neither SciPy nor narwhals, and a fit needs HDF5 only to be saved
or loaded. JAX, which takes longest, is needed where functions are compiled.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any


class _Library:
    """Stands for a module, which it imports when an attribute is asked for.

    It is not among ``sys.modules``: a package that is loaded lazily there is imported twice in part
    if its first use is to import a module of it.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


if TYPE_CHECKING:
    import h5py
    import jax
    import jax.numpy as jnp
    import jax.scipy.linalg as jax_linalg
    import narwhals as nw
    import scipy
    from jax import lax
else:
    h5py, nw, scipy = map(_Library, ("h5py", "narwhals", "scipy"))
    jax, jnp, lax = map(_Library, ("jax", "jax.numpy", "jax.lax"))
    jax_linalg = _Library("jax.scipy.linalg")

__all__ = ["h5py", "jax", "jax_linalg", "jnp", "lax", "nw", "scipy"]
