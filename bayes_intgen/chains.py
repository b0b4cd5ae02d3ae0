"""What both ways to sample a posterior share: settings, where chains start, what comes of them."""

from typing import Any, NamedTuple

import numpy as np

from bayes_intgen.bases import Array
from bayes_intgen.checkpoint import Checkpoint
from bayes_intgen.decomposition import Decomposition
from bayes_intgen.modes import Mode, chains_of_modes
from bayes_intgen.sampling import Draws, Reported, nuts
from bayes_intgen.streams import Purpose, generator
from bayes_intgen.targets import Density

# Points that say what approximations of a density must be good for. With a few dozen, which of them
# are far out says how large groups of coefficients are.
PROBES = 400


class Settings(NamedTuple):
    """How long to sample, and from which seed."""

    seed: int
    chains: int
    draws: int | None
    warmup: int
    target_accept: float
    collapse: bool
    simplify: bool
    progress: bool


class Sampled(NamedTuple):
    """What sampling gives: sites and coefficients, each (chain, draw, ...), and statistics."""

    terms: Decomposition
    sites: dict[str, Array]
    coefficients: Array
    statistics: dict[str, Any]
    fixed: dict[str, float]


def scattered(
    mode: Array, covariance: Array, count: int, settings: Settings, purpose: Purpose
) -> Array:
    """Points scattered about the mode as widely as the posterior is expected to be."""
    normal = generator(settings.seed, purpose).standard_normal((count, len(mode)))
    return np.asarray(mode + normal @ np.linalg.cholesky(covariance).T)


def dispersed(modes: list[Mode], settings: Settings) -> Array:
    """Where each chain starts, shape (chain, D): about the modes, each with its own covariance."""
    size = len(modes[0].point)
    normal = generator(settings.seed, "starts").standard_normal((settings.chains, size))
    roots = [np.linalg.cholesky(mode.covariance) for mode in modes]
    chosen = chains_of_modes(modes, settings.chains)
    return np.stack(
        [modes[i].point + roots[i] @ one for i, one in zip(chosen, normal, strict=True)]
    )


def run_chains(
    density: Density,
    starts: Array,
    covariance: Array,
    settings: Settings,
    checkpoint: Checkpoint | None,
    reported: Reported,
    *,
    walked: Density | None = None,
    least_energy: float = -np.inf,
    label: str = "",
) -> Draws:
    """NUTS from given points, shape (chain, D); as :func:`bayes_intgen.sampling.nuts`."""
    return nuts(
        density,
        starts,
        covariance,
        warmup=settings.warmup,
        draws=settings.draws,
        seed=settings.seed,
        target_accept=settings.target_accept,
        progress=settings.progress,
        reported=reported,
        checkpoint=checkpoint,
        walked=walked,
        least_energy=least_energy,
        label=label,
    )
