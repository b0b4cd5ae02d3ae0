"""Parts of the generative NumPyro program of a model, :meth:`bayes_intgen.models.Model.program`."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.typing import ArrayLike

from bayes_intgen.models.hyperpriors import DEGREES_OF_FREEDOM, Hyperpriors
from bayes_intgen.models.laws import Link, Noise
from bayes_intgen.models.terms import Decomposition, PseudoObservations


def hyperparameters(priors: Hyperpriors) -> tuple[jax.Array, jax.Array]:
    """Sample the hyperparameters.

    Returns
    -------
    log_sd : Array, shape (P,)
        Log prior standard deviations of the coefficients.
    noise_sd : Array, shape ()
    """
    sampled = {
        name: numpyro.sample(
            name, dist.LogNormal(prior.log_median, prior.sigma).to_event(np.ndim(prior.sigma))
        )
        for name, prior in priors.sites.items()
    }
    return priors.log_sd(sampled, jnp), sampled["noise_sd"]


def sample_coefficients(
    priors: Hyperpriors, terms: Decomposition, fixed: Mapping[str, float]
) -> tuple[jax.Array, jax.Array]:
    """Sample hyperparameters and coefficients; returns the latter and ``noise_sd``.

    ``priors`` are those of the terms whose scale is not ``fixed``.
    """
    log_sd, noise_sd = hyperparameters(priors)
    prior_mean: ArrayLike = priors.mean
    if fixed:
        log_ratio = np.full(terms.size, np.nan)
        for name, ratio in fixed.items():
            log_ratio[terms.columns[name]] = np.log(ratio)
        sampled = np.isnan(log_ratio)
        log_sd = (jnp.asarray(log_ratio) + jnp.log(noise_sd)).at[sampled].set(log_sd)
        prior_mean = jnp.zeros(terms.size).at[sampled].set(priors.mean)
    # Non-centred parameterisation: weights are standard normal whatever the scales are.
    weights = numpyro.sample("weights", dist.Normal(0, 1).expand((terms.size,)).to_event(1))
    return numpyro.deterministic("coefficients", prior_mean + jnp.exp(log_sd) * weights), noise_sd


def sample_outcome(
    noise: Noise,
    link: Link,
    mean: jax.Array,
    noise_sd: jax.Array,
    relative_sd: ArrayLike,
    outcome: ArrayLike | None,
) -> None:
    """Draw the outcome, or condition on it."""
    sd = noise_sd * jnp.asarray(relative_sd)
    # In the precision of this call: JAX keeps constants that are arrays of NumPy for later calls.
    observed = None if outcome is None else jnp.asarray(outcome)
    if noise == "student_t":
        df = numpyro.sample("df", dist.Gamma(*DEGREES_OF_FREEDOM))
        distribution: dist.Distribution = dist.StudentT(df, mean, sd)
    else:
        distribution = dist.Normal(mean, sd)
    if link == "log":
        transform = dist.transforms.ExpTransform()
        distribution = dist.TransformedDistribution(distribution, transform)
    with numpyro.plate("row", len(mean)):
        numpyro.sample("outcome", distribution, obs=observed)


def sample_pseudo_observations(known: PseudoObservations, coefficients: jax.Array) -> None:
    """Condition on pseudo-observations, in the outcome's units so that constants are right too."""
    sd = jnp.exp(jnp.asarray(known.log_sd))
    mean = sd * (jnp.asarray(known.matrix) @ coefficients)
    with numpyro.plate("known_row", len(sd)):
        numpyro.sample("known_outcome", dist.Normal(mean, sd), obs=sd * jnp.asarray(known.outcome))
