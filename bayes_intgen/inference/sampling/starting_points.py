"""Points dispersed about the modes: starts of chains, and test points of approximations."""

import numpy as np

from bayes_intgen._random import Purpose, generator
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.modes import Mode, chains_of_modes
from bayes_intgen.inference.settings import SamplerSettings

# Number of test points of approximations. With a few dozen, outliers among them would determine the
# sizes of the blocks of coefficients.
N_TEST_POINTS = 400


def dispersed_points(
    mode: Array, covariance: Array, count: int, seed: int, purpose: Purpose
) -> Array:
    """Draw points about a mode with the expected posterior covariance, shape (count, D)."""
    normal = generator(seed, purpose).standard_normal((count, len(mode)))
    return np.asarray(mode + normal @ np.linalg.cholesky(covariance).T)


def chain_starts(modes: list[Mode], settings: SamplerSettings) -> Array:
    """Draw the start of each chain about its mode, with that mode's covariance, (chain, D)."""
    size = len(modes[0].point)
    normal = generator(settings.seed, "starts").standard_normal((settings.chains, size))
    roots = [np.linalg.cholesky(mode.covariance) for mode in modes]
    mode_of_chain = chains_of_modes(modes, settings.chains)
    return np.stack(
        [modes[i].point + roots[i] @ one for i, one in zip(mode_of_chain, normal, strict=True)]
    )
