"""Points about the modes of a posterior: starts of chains, and test points for approximations."""

import numpy as np

from bayes_intgen._random import Purpose, generator
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.modes import Mode, chains_of_modes
from bayes_intgen.inference.settings import SamplerSettings

# Points at which approximations of a density must be good. With a few dozen, the farthest of them
# would decide how large groups of coefficients are.
N_TEST_POINTS = 400


def dispersed_points(
    mode: Array, covariance: Array, count: int, seed: int, purpose: Purpose
) -> Array:
    """Points dispersed about a mode as widely as the posterior is expected to be, (count, D)."""
    normal = generator(seed, purpose).standard_normal((count, len(mode)))
    return np.asarray(mode + normal @ np.linalg.cholesky(covariance).T)


def chain_starts(modes: list[Mode], settings: SamplerSettings) -> Array:
    """Start of each chain, shape (chain, D): about the modes, each with its own covariance."""
    size = len(modes[0].point)
    normal = generator(settings.seed, "starts").standard_normal((settings.chains, size))
    roots = [np.linalg.cholesky(mode.covariance) for mode in modes]
    chosen = chains_of_modes(modes, settings.chains)
    return np.stack(
        [modes[i].point + roots[i] @ one for i, one in zip(chosen, normal, strict=True)]
    )
