"""Log evidence of padded statistics, at the smallest of a few sizes that holds all coefficients.

A compiled program chooses the size when it runs. It serves fits of many sizes, so that compilations
are rare, and takes about as long as a program of a fit's own size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from bayes_intgen.inference.gaussian.evidence import log_marginal, log_marginal_and_draw
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics

if TYPE_CHECKING:
    from jax.typing import ArrayLike

# Coefficients from one size of a program to the next, number of its sizes, each of which takes time
# to compile, and largest size of the program before the first.
STEP, N_SIZES, FIRST = 32, 4, 64


class PaddedStatistics(NamedTuple):
    """Sufficient statistics with columns of zeros at the end.

    Attributes
    ----------
    sums : SufficientStatistics
        Centred at the coefficients' prior mean.
    size : () of int
        Number of columns before them.
    """

    sums: SufficientStatistics
    size: ArrayLike

    @classmethod
    def of(cls, sums: SufficientStatistics, size: int) -> PaddedStatistics:
        """Pad statistics of so many columns to their common size."""
        return cls(sums.padded(common_size(size)), size)


def common_size(count: int) -> int:
    """Number of coefficients to which statistics of so many are padded.

    Examples
    --------
    >>> [common_size(count) for count in (80, 192, 193)]
    [192, 192, 320]
    """
    span = STEP * N_SIZES
    return FIRST + span * max(-(-(count - FIRST) // span), 1)


def sizes_within(size: int) -> tuple[int, ...]:
    """Sizes at which statistics that are padded to a common size are evaluated.

    Examples
    --------
    >>> sizes_within(192)
    (96, 128, 160, 192)
    """
    return tuple(size - STEP * i for i in range(N_SIZES))[::-1]


def log_marginal_of_padded(
    statistics: PaddedStatistics, log_sd: jax.Array, noise_sd: jax.Array
) -> jax.Array:
    """:func:`~bayes_intgen.inference.gaussian.evidence.log_marginal` of padded statistics."""
    return log_marginal(statistics.sums, log_sd, noise_sd)


def log_marginal_and_draw_of_padded(
    statistics: PaddedStatistics, log_sd: jax.Array, noise_sd: jax.Array, normal: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Evaluate the log evidence, and draw the coefficients, at the smallest sufficient size.

    Parameters and results as of
    :func:`~bayes_intgen.inference.gaussian.evidence.log_marginal_and_draw`.
    """
    sizes = sizes_within(len(log_sd))

    def at(size: int) -> tuple[jax.Array, jax.Array]:
        first = slice(size)
        sums, known = statistics.sums, statistics.sums.known
        leading = sums._replace(
            xx=jnp.asarray(sums.xx)[first, first],
            xy=jnp.asarray(sums.xy)[first],
            known=known and known._replace(matrix=jnp.asarray(known.matrix)[:, first]),
        )
        value, draw = log_marginal_and_draw(leading, log_sd[first], noise_sd, normal[first])
        # Statistics inform no other coefficients: they are drawn from their prior.
        rest = (jnp.exp(log_sd) * normal)[size:]
        return value, jnp.concatenate([draw, rest])

    smallest = sum(jnp.asarray(statistics.size) > size for size in sizes[:-1])
    branches = [lambda size=size: at(size) for size in sizes]
    value, draw = lax.switch(smallest, branches)
    return jnp.asarray(value), jnp.asarray(draw)
