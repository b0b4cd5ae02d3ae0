"""Rows whose noise has a known standard deviation, such as lift tests."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jax.typing import ArrayLike


class PseudoObservations(NamedTuple):
    """Rows whose noise has a known standard deviation, and does not scale with ``noise_sd``.

    An example is an estimated difference between two means, with its standard error.

    Attributes
    ----------
    matrix : (L, P), outcome : (L,)
        Divided by the known standard deviation.
    log_sd : (L,)
        Logarithm of the known standard deviation.
    """

    matrix: "ArrayLike"
    outcome: "ArrayLike"
    log_sd: "ArrayLike"
