"""NUTS with delayed acceptance: warmup, draws, and stopping rule."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._progress import share_of_stage
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.log_density import LogDensity, MarginalDensity
from bayes_intgen.inference.sampling.chain_runner import (
    ChainRunner,
    common_block_size,
    concatenated,
)
from bayes_intgen.inference.sampling.kernel import MAX_TREE_DEPTH
from bayes_intgen.inference.sampling.stopping import (
    MAX_DRAWS,
    MIN_DRAWS,
    StoppingRule,
    additional_draws,
)
from bayes_intgen.inference.sampling.warmup import parts_of_warmup, warm_up
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
    density: MarginalDensity,
    starts: Array,
    covariance: Array,
    settings: SamplerSettings,
    *,
    quantities: Quantities = lambda flat, coefficients: flat,
    surrogate: LogDensity | None = None,
) -> Draws:
    """Run one NUTS chain from each start.

    With a surrogate, NUTS proposes from that cheaper density, and a Metropolis step with the ratio
    of both densities corrects the proposal (delayed acceptance; Christen and Fox 2005, section 2).
    The correction is exact because NUTS is reversible under the density that it samples.

    Parameters
    ----------
    density : MarginalDensity
        The coefficients that it has integrated out are drawn at each start and with every accepted
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
    """
    chains = len(starts)
    count = MIN_DRAWS if settings.draws is None else settings.draws
    block_size = common_block_size(*parts_of_warmup(settings.warmup), count)
    runner = ChainRunner(settings.seed, chains, block_size, settings.progress)
    kernel, states = warm_up(runner, density, surrogate, starts, covariance, settings)
    # Without a number of draws, about twice the minimum.
    expected = 2 * count if settings.draws is None else count
    runner.compile(kernel, states, count)
    title, rule = f"Draws of {chains} chains", StoppingRule()
    with share_of_stage(title, settings.progress, chains * expected, leave=True) as share:
        states, collected = runner.run(kernel, states, count, share, adapts=False)
        while settings.draws is None:
            done = collected["flat"].shape[1]
            every = quantities(collected["flat"], collected["coefficients"])
            short = rule.shortfall(every)
            more = additional_draws(short, done, block_size)
            share.expect(chains * min(short * done, MAX_DRAWS), f"{done} draws per chain")
            if not more:
                break
            states, further = runner.run(kernel, states, more, share, adapts=False)
            collected = concatenated([collected, further], axis=1)

    flat, coefficients = collected.pop("flat"), collected.pop("coefficients")
    collected["tree_depth"] = np.ceil(np.log2(collected["n_steps"] + 1)).astype(np.int64)
    collected["reached_max_treedepth"] = collected["tree_depth"] >= MAX_TREE_DEPTH
    return Draws(flat, coefficients, collected)
