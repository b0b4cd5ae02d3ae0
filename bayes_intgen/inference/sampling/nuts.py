"""NUTS with delayed acceptance: warmup, draws, and stopping rule."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.log_density import LogDensity
from bayes_intgen.inference.density.numpyro_adapter import MAX_TREE_DEPTH
from bayes_intgen.inference.sampling.chain_runner import (
    ChainRunner,
    common_block_size,
    concatenated,
)
from bayes_intgen.inference.sampling.checkpoint import Checkpoint
from bayes_intgen.inference.sampling.kernel import ChainRandomness
from bayes_intgen.inference.sampling.stopping import MIN_DRAWS, additional_draws
from bayes_intgen.inference.sampling.warmup import KernelFactory, refuse_higher_mode, warm_up
from bayes_intgen.inference.settings import SamplerSettings

# From unconstrained sites (chain, draw, D) and coefficients (chain, draw, P) to the quantities
# (chain, draw, Q) that must converge.
Quantities = Callable[[Array, Array], Array]


class Draws(NamedTuple):
    """Draws of the unconstrained sites, and statistics of every iteration.

    Attributes
    ----------
    flat : ndarray, shape (chain, draw, D)
        Unconstrained sites.
    coefficients : ndarray, shape (chain, draw, P)
        Conditional draws of the coefficients that the density has marginalised.
    statistics : dict of ndarray, each (chain, draw)
        Named as in ArviZ's schema.
    """

    flat: Array
    coefficients: Array
    statistics: dict[str, NDArray[Any]]


def nuts(
    density: LogDensity,
    starts: Array,
    covariance: Array,
    settings: SamplerSettings,
    *,
    quantities: Quantities = lambda flat, coefficients: flat,
    surrogate: LogDensity | None = None,
    mode_potential: float = -math.inf,
    checkpoint: Checkpoint | None = None,
    label: str = "",
    other_kernel: KernelFactory | None = None,
) -> Draws:
    """Run one NUTS chain from each start; call it in a 64-bit scope of JAX.

    With a surrogate, NUTS proposes from that cheaper density, and a Metropolis step with the ratio
    of both densities corrects the proposal (delayed acceptance; Christen and Fox 2005, section 2).
    The correction is exact because NUTS is reversible under the density that it samples.

    Parameters
    ----------
    density : LogDensity
        If it has integrated coefficients out, they are drawn at each start and with every accepted
        proposal.
    starts : ndarray, shape (chain, D)
        Unconstrained starting points, of finite density.
    covariance : ndarray, shape (D, D)
        Initial estimate of the posterior covariance.
    settings : SamplerSettings
        Without a number of draws, chains run for ``MIN_DRAWS`` to ``MAX_DRAWS`` iterations, until
        all quantities have converged.
    quantities : callable
        Quantities that must converge.
    surrogate : LogDensity, optional
        Cheaper density. It is dropped if few proposals of a chain are accepted in either half of
        the warmup.
    mode_potential : float
        Minus the log density at the mode.
    checkpoint : Checkpoint, optional
        Receives every block of iterations, and supplies those of an earlier run.
    label : str
        Name of this run in the checkpoint.
    other_kernel : callable, optional
        Makes the kernel of the chains, in place of NUTS on ``density``.

    Raises
    ------
    HigherModeError
        If the density is higher in the warmup or the first draws than at the mode. Chains that
        start at a lower mode seldom reach the highest one, and those that do have a step size and
        a covariance adapted to the other mode.
    """
    chains, size = starts.shape
    half = settings.warmup // 2
    count = MIN_DRAWS if settings.draws is None else settings.draws
    block_size = common_block_size(half, settings.warmup - half, count)
    randomness = [
        ChainRandomness(settings.seed, i, size, density.n_coefficients) for i in range(chains)
    ]
    with tqdm(
        total=chains * (settings.warmup + count),
        desc=f"NUTS, {chains} chains",
        unit="it",
        disable=not settings.progress,
    ) as bar:
        runner = ChainRunner(randomness, block_size, bar, checkpoint, label)
        warm = warm_up(
            runner, density, surrogate, starts, covariance, settings, mode_potential, other_kernel
        )
        states, collected = runner.run(warm.kernel, "draws", warm.states, count, warm.step_size)
        refuse_higher_mode(collected, mode_potential)
        while settings.draws is None and (
            more := additional_draws(
                quantities(collected["flat"], collected["coefficients"]), block_size
            )
        ):
            bar.total += chains * more
            stage = f"draws{collected['flat'].shape[1]}"
            states, further = runner.run(warm.kernel, stage, states, more, warm.step_size)
            collected = concatenated([collected, further], axis=1)

    flat, coefficients = collected.pop("flat"), collected.pop("coefficients")
    collected["tree_depth"] = np.ceil(np.log2(collected["n_steps"] + 1)).astype(np.int64)
    collected["reached_max_treedepth"] = collected["tree_depth"] >= MAX_TREE_DEPTH
    return Draws(flat, coefficients, collected)
