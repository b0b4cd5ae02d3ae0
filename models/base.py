"""Base of all models: the priors of the hyperparameters, the noise, and the generative program.

A model says which terms make up its mean (``decompose``); hyperpriors and noise are stated here
once. `flat_hyperprior` has the same posterior with the coefficients integrated
out.

A default fit learns parts of the model from the data before it samples, so its posterior is not
that of the bare program. It differs in

- the terms: finer functions of an action and three-way terms join where the data ask for them;
  terms that other actions add, and that the data speak against, keep a prior standard deviation
  that is a multiple of ``noise_sd``;
- the prior medians of the scales of such terms, which are the typical ones in these data;
- the variance function, an argument of the program that has no prior there: an estimate, fixed but
  for its common factor ``noise_sd``. Its uncertainty enters the outcomes that are predicted, and
  not the coefficients.

``fit(..., simplify=False)`` leaves out the first two, ``spread="constant"`` the third.
:meth:`bayes_intgen.Posterior.program` returns the program with all three as the fit had them: its
posterior is the one that was sampled. One difference remains: the program's outcomes are normal (or
Student-t), whereas :meth:`bayes_intgen.Posterior.outcome` draws noise in the shape of the
standardised residuals, and the variance function too.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.typing import ArrayLike

from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.masks import Mask
from bayes_intgen.inference.gaussian.sufficient_statistics import PseudoObservations
from bayes_intgen.models.hyperpriors import Hyperpriors
from bayes_intgen.models.mechanisms.gp import GP
from bayes_intgen.models.mechanisms.levels import Levels
from bayes_intgen.models.mechanisms.mechanism import LogNormal, Mechanism
from bayes_intgen.models.mechanisms.polynomial import Linear, Polynomial
from bayes_intgen.models.mechanisms.spline import Spline
from bayes_intgen.models.terms import Decomposition, Term

PriorName = Literal["gp", "spline", "polynomial", "linear"]
AnyMechanism = GP | Spline | Polynomial | Linear | Levels
Prior = PriorName | AnyMechanism
Noise = Literal["gaussian", "student_t"]
SpreadName = Literal["fitted", "constant"]

_PRIORS: dict[str, type[GP] | type[Spline] | type[Polynomial] | type[Linear]] = {
    "gp": GP,
    "spline": Spline,
    "polynomial": Polynomial,
    "linear": Linear,
}


def degrees_of_freedom() -> dist.Gamma:
    """Prior of Student-t noise: heavy tails are likely, normal ones possible.

    Juárez and Steel (2010).
    """
    return dist.Gamma(2.0, 0.1)


@dataclass(frozen=True)
class Model(ABC):
    """A model before it has seen data.

    Attributes
    ----------
    prior : Mechanism
        Prior of every function that has none of its own.
    noise : {"gaussian", "student_t"}
    spread : {"fitted", "constant"}
        Whether the noise's variance depends on regime and actions.
    noise_scale : LogNormal
        Prior of the noise's standard deviation, in outcome standard deviations.
    intercept : (mean, sd) or None
        Normal prior of the intercept, in the outcome's units.
    """

    prior: AnyMechanism
    noise: Noise
    spread: SpreadName
    noise_scale: LogNormal
    intercept: tuple[float, float] | None

    @abstractmethod
    def decompose(self, data: Observations, rows: int | None = None) -> Decomposition:
        """Terms of the mean for ``data``, a sample of ``rows`` rows where that is given.

        Raises ModelError where they do not fit.
        """

    def candidates(self, data: Observations, rows: int | None = None) -> tuple[Term, ...]:
        """Terms that join those of :meth:`decompose` where the data ask for them."""
        return ()

    def fit_tests(self, data: Observations, more: int = 1) -> tuple[Term, ...]:
        """Finer functions of each action, against which a fit is tested."""
        return ()

    def mechanisms(
        self, data: Observations, priors: Mapping[str, AnyMechanism] | None = None
    ) -> dict[str, Mechanism]:
        """Prior of each action's functions: its own, levels where it has some, or the model's.

        Raises ModelError where an action whose levels are names is given a function of numbers.
        """
        chosen: dict[str, Mechanism] = {}
        for name, categories in zip(data.names, data.categories, strict=True):
            mechanism = (priors or {}).get(name)
            if categories is None:
                chosen[name] = mechanism or self.prior
            elif mechanism is None:
                straight = categories.numeric and isinstance(self.prior, Linear)
                chosen[name] = self.prior if straight else Levels(categories.ordered)
            elif isinstance(mechanism, Levels) or categories.numeric:
                chosen[name] = mechanism
            else:
                raise ModelError(
                    f"action {name!r} has levels with names ({categories.spelled()}), and "
                    f"{type(mechanism).__name__}() is for numbers; give it bi.Levels(), or leave "
                    "its prior out"
                )
        return chosen

    @abstractmethod
    def identifies(self, regimes: Sequence[Mask], target: Mask) -> bool:
        """Whether data of some regimes determine the mean outcome in another one."""

    def hyperpriors(self, terms: Decomposition) -> Hyperpriors:
        """The priors of all hyperparameters and coefficients, in the outcome's units."""
        return terms.hyperpriors(self.noise_scale)

    def program(
        self,
        terms: Decomposition,
        functions: ArrayLike,
        gates: ArrayLike,
        relative_sd: ArrayLike,
        outcome: ArrayLike | None = None,
        known: PseudoObservations | None = None,
        *,
        fixed: Mapping[str, float] | None = None,
        centre: float = 0.0,
    ) -> None:
        """The generative program: coefficients and rows.

        Parameters
        ----------
        terms : Decomposition
        functions : array_like, shape (n, P)
            ``terms.functions(actions)``: the basis functions of every term.
        gates : array_like, shape (n, number of terms)
            ``terms.gates(intervened)``: how far each term acts in each row.
        relative_sd : array_like, shape (n,)
            Standard deviation of each row's noise, relative to ``noise_sd``.
        outcome : array_like, shape (n,), optional
            Observed outcome, less ``terms.centre`` unless that is ``centre``; left out, the
            program draws it.
        known : PseudoObservations, optional
            Further rows, observed with noise of known standard deviation.
        fixed : mapping from term to float, optional
            Prior standard deviations of the coefficients of some terms, in units of ``noise_sd``,
            in place of scales that are sampled.
        centre : float
            What the outcome counts from: zero, or ``terms.centre`` for the outcome's own units.
        """
        fixed = fixed or {}
        priors = self.hyperpriors(terms.without(fixed))
        log_sd, noise_sd = hyperparameters(priors)
        mean, log_sd = _with_fixed(terms, fixed, priors.mean, log_sd, jnp.log(noise_sd))
        # Non-centred: weights are standard normal whatever the scales are.
        weights = numpyro.sample("weights", dist.Normal(0, 1).expand((terms.size,)).to_event(1))
        coefficients = numpyro.deterministic("coefficients", mean + jnp.exp(log_sd) * weights)
        functions, gates = jnp.asarray(functions), jnp.asarray(gates)
        mean = jnp.full(len(functions), centre)
        for i, term in enumerate(terms.terms):
            columns = terms.columns[term.name]
            mean += gates[:, i] * (functions[:, columns] @ coefficients[columns])
        sd = noise_sd * jnp.asarray(relative_sd)
        if self.noise == "student_t":
            df = numpyro.sample("df", degrees_of_freedom())
            rows: dist.Distribution = dist.StudentT(df, mean, sd)
        else:
            rows = dist.Normal(mean, sd)
        with numpyro.plate("row", len(mean)):
            numpyro.sample("outcome", rows, obs=outcome)
        if known is not None:
            # In the outcome's units, so that the density is the marginal one, constant included.
            unit = jnp.exp(jnp.asarray(known.log_sd))
            known_mean = unit * (jnp.asarray(known.matrix) @ coefficients)
            with numpyro.plate("known_row", len(unit)):
                numpyro.sample(
                    "known_outcome", dist.Normal(known_mean, unit), obs=unit * known.outcome
                )


def _with_fixed(
    terms: Decomposition,
    fixed: Mapping[str, float],
    mean: ArrayLike,
    log_sd: jax.Array,
    log_noise: jax.Array,
) -> tuple[ArrayLike, jax.Array]:
    """Prior means and log sds of all coefficients, from those of terms whose scale is sampled."""
    if not fixed:
        return mean, log_sd
    log_ratio = np.full(terms.size, np.nan)
    for name, ratio in fixed.items():
        log_ratio[terms.columns[name]] = np.log(ratio)
    sampled = np.isnan(log_ratio)
    every = (jnp.asarray(log_ratio) + log_noise).at[sampled].set(log_sd)
    return jnp.zeros(terms.size).at[sampled].set(mean), every


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


def as_mechanism(prior: Prior) -> AnyMechanism:
    """The mechanism that a name stands for; raises ModelError where it stands for none."""
    if isinstance(prior, AnyMechanism):
        return prior
    if prior not in _PRIORS:
        raise ModelError(
            f"prior {prior!r} is not known; choose {', '.join(map(repr, _PRIORS))} or a mechanism"
        )
    return _PRIORS[prior]()


def checked_noise(
    noise: Noise, spread: SpreadName | None, intercept: tuple[float, float] | None
) -> tuple[Noise, SpreadName, tuple[float, float] | None]:
    """Noise, spread and intercept with defaults filled in; raises ModelError on unknown names."""
    if noise not in ("gaussian", "student_t"):
        raise ModelError(f"noise {noise!r} is not known; choose 'gaussian' or 'student_t'")
    if spread is None:
        spread = "fitted" if noise == "gaussian" else "constant"
    if spread not in ("fitted", "constant"):
        raise ModelError(f"spread {spread!r} is not known; choose 'fitted' or 'constant'")
    if intercept is not None and not intercept[1] > 0:
        raise ModelError("intercept must be (mean, sd) with a positive sd")
    return (
        noise,
        spread,
        None if intercept is None else (float(intercept[0]), float(intercept[1])),
    )


NOISE_SCALE = LogNormal(median=0.5, sigma=1.0)
