"""The additive model of intervention generalisation, and its two evaluations.

Every outcome, in whatever regime, is

    Y = c + sum_k phi_k(a_k) + sum_k (1 - R_k) delta_k(a) + noise

with the unconfounded contributions phi_k and the confounding biases delta_k shared by all
regimes (Kekić et al. 2025, arXiv 2506.04945, for one intervention at a time; any mask
here). The model states its mechanisms, hyperpriors and noise once. From that follow

- `AdditiveModel.written_out`, the generative program with coefficients and rows,
- `collapsed`, the same posterior over the hyperparameters alone, with the
  coefficients integrated out and sums in place of rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.typing import ArrayLike

from bayes_intgen.decomposition import Decomposition, decompose
from bayes_intgen.errors import ModelError
from bayes_intgen.gram import Sums, log_marginal
from bayes_intgen.hyperpriors import Hyperpriors
from bayes_intgen.mechanisms import GP, Linear, LogNormal, Mechanism, Polynomial, Spline
from bayes_intgen.regimes import RegimeData

PriorName = Literal["gp", "spline", "polynomial", "linear"]
Prior = PriorName | GP | Spline | Polynomial | Linear
Noise = Literal["gaussian", "student_t"]
SpreadName = Literal["fitted", "constant"]

_PRIORS: dict[str, type[GP] | type[Spline] | type[Polynomial] | type[Linear]] = {
    "gp": GP,
    "spline": Spline,
    "polynomial": Polynomial,
    "linear": Linear,
}


@dataclass(frozen=True)
class AdditiveModel:
    """An additive model before it has seen data; build it with :func:`additive`.

    Attributes
    ----------
    prior : Mechanism
        Prior of every mechanism that is not named below.
    unconfounded, bias : mapping from action to Mechanism
        Priors of single mechanisms.
    graph : mapping from action to its parents, or None
    noise : {"gaussian", "student_t"}
    spread : {"fitted", "constant"}
        Whether the noise's variance depends on regime and actions.
    noise_scale : LogNormal
        Prior of the noise's standard deviation, in outcome standard deviations.
    intercept : (mean, sd) or None
        Normal prior of the intercept, in the outcome's units.
    """

    prior: GP | Spline | Polynomial | Linear
    unconfounded: Mapping[str, GP | Spline | Polynomial | Linear]
    bias: Mapping[str, GP | Spline | Polynomial | Linear]
    graph: Mapping[str, tuple[str, ...]] | None
    noise: Noise
    spread: SpreadName
    noise_scale: LogNormal
    intercept: tuple[float, float] | None

    def decompose(self, data: RegimeData) -> Decomposition:
        """The terms of the mean for ``data``; raises ModelError where they do not fit."""
        for kind, priors in (("unconfounded", self.unconfounded), ("bias", self.bias)):
            for name in priors:
                if name not in data.names:
                    raise ModelError(
                        f"{kind} gives a prior for {name!r}, which is no action; the actions are "
                        f"{', '.join(map(repr, data.names))}"
                    )

        def filled(priors: Mapping[str, Mechanism]) -> dict[str, Mechanism]:
            return {name: priors.get(name, self.prior) for name in data.names}

        return decompose(
            data, filled(self.unconfounded), filled(self.bias), self.graph, self.intercept
        )

    def hyperpriors(self, terms: Decomposition) -> Hyperpriors:
        """The priors of all hyperparameters and coefficients, in the outcome's units."""
        return terms.hyperpriors(self.noise_scale)

    def written_out(
        self,
        terms: Decomposition,
        functions: ArrayLike,
        intervened: ArrayLike,
        relative_sd: ArrayLike,
        outcome: ArrayLike | None = None,
    ) -> None:
        """The generative program: coefficients and rows.

        Parameters
        ----------
        terms : Decomposition
        functions : array_like, shape (n, P)
            ``terms.functions(actions)``: the basis functions of every phi_k and delta_k.
        intervened : array_like, shape (n, K)
            The mask R of each row.
        relative_sd : array_like, shape (n,)
            Standard deviation of each row's noise, relative to ``noise_sd``.
        outcome : array_like, shape (n,), optional
            Observed outcome less ``terms.centre``; left out, the program draws it.
        """
        priors = self.hyperpriors(terms)
        log_sd, noise_sd = hyperparameters(priors)
        # Non-centred: weights are standard normal whatever the scales are.
        weights = numpyro.sample("weights", dist.Normal(0, 1).expand((terms.size,)).to_event(1))
        coefficients = numpyro.deterministic(
            "coefficients", priors.mean + jnp.exp(log_sd) * weights
        )
        functions, observed = jnp.asarray(functions), 1.0 - jnp.asarray(intervened)
        mean = jnp.zeros(len(functions))
        for term in terms.terms:
            columns = terms.columns[term.name]
            contribution = functions[:, columns] @ coefficients[columns]
            mean += contribution if term.role != "bias" else observed[:, term.action] * contribution
        sd = noise_sd * jnp.asarray(relative_sd)
        if self.noise == "student_t":
            # Juárez and Steel (2010): heavy tails are likely, normal ones possible.
            df = numpyro.sample("df", dist.Gamma(2.0, 0.1))
            rows: dist.Distribution = dist.StudentT(df, mean, sd)
        else:
            rows = dist.Normal(mean, sd)
        with numpyro.plate("row", len(mean)):
            numpyro.sample("outcome", rows, obs=outcome)


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
    none = jnp.zeros(0)
    log_sd = priors.log_sd(sampled.get("scale", none), sampled.get("lengthscale", none))
    return log_sd, sampled["noise_sd"]


def collapsed(priors: Hyperpriors, sums: Sums) -> None:
    """The program over hyperparameters alone; the noise must be Gaussian.

    Parameters
    ----------
    priors : Hyperpriors
        ``model.hyperpriors(terms)``.
    sums : Sums
        Over the rows' ``(matrix, outcome less terms.centre, 1 / relative_sd**2)``.
    """
    log_sd, noise_sd = hyperparameters(priors)
    numpyro.factor("outcome", log_marginal(sums, priors.mean, log_sd, noise_sd))


def additive(
    prior: Prior = "gp",
    graph: Mapping[str, Sequence[str]] | None = None,
    *,
    unconfounded: Mapping[str, Prior] | None = None,
    bias: Mapping[str, Prior] | None = None,
    noise: Noise = "gaussian",
    spread: SpreadName | None = None,
    noise_scale: LogNormal | None = None,
    intercept: tuple[float, float] | None = None,
) -> AdditiveModel:
    """An additive model with the given priors.

    Parameters
    ----------
    prior : {"gp", "spline", "polynomial", "linear"} or a mechanism
        Prior of every unconfounded contribution and confounding bias: a name, or a
        ``GP``, ``Spline``, ``Polynomial`` or ``Linear`` with settings of its own.
    graph : mapping from action to its parents, optional
        ``{"green": ["red"]}`` says that red moves green and nothing else moves anything.
        None: unknown, so the bias of an action may depend on every other action,
        pairwise, under priors that shrink what the data do not support.
    unconfounded, bias : mapping from action to prior, optional
        Priors of single mechanisms in place of ``prior``.
    noise : {"gaussian", "student_t"}
        Student-t noise is robust to outliers, but is sampled row by row and takes long.
    spread : {"fitted", "constant"}, optional
        Whether the noise's variance may depend on regime and actions; by default it may
        under Gaussian noise, and not under Student-t noise, whose outliers would decide it.
    noise_scale : LogNormal, optional
        Prior of the noise's standard deviation, in outcome standard deviations; by
        default its median is 0.5 and the sd of its logarithm 1.
    intercept : (mean, sd), optional
        Normal prior of the intercept in the outcome's units; by default the outcome's
        mean and five of its standard deviations.

    Returns
    -------
    AdditiveModel

    Raises
    ------
    ModelError
        On names that are not known.

    Examples
    --------
    >>> model = additive(prior="spline", graph={"green": ["red"]})
    >>> model.graph
    {'green': ('red',)}
    >>> additive(prior=GP(kernel="matern32"), bias={"red": "linear"}).bias["red"].scale.median
    0.4
    """
    if noise not in ("gaussian", "student_t"):
        raise ModelError(f"noise {noise!r} is not known; choose 'gaussian' or 'student_t'")
    if spread is None:
        spread = "fitted" if noise == "gaussian" else "constant"
    if spread not in ("fitted", "constant"):
        raise ModelError(f"spread {spread!r} is not known; choose 'fitted' or 'constant'")
    if intercept is not None and not intercept[1] > 0:
        raise ModelError("intercept must be (mean, sd) with a positive sd")
    if isinstance(graph, Mapping):
        for child, parents in graph.items():
            if isinstance(parents, str):
                raise ModelError(f"graph[{child!r}] must be a list of actions, not a string")
    elif graph is not None:
        raise ModelError("graph must map each action to a list of its parents, or be None")
    return AdditiveModel(
        prior=_mechanism(prior),
        unconfounded={name: _mechanism(p) for name, p in (unconfounded or {}).items()},
        bias={name: _mechanism(p) for name, p in (bias or {}).items()},
        graph=None if graph is None else {k: tuple(v) for k, v in graph.items()},
        noise=noise,
        spread=spread,
        noise_scale=noise_scale or LogNormal(median=0.5, sigma=1.0),
        intercept=None if intercept is None else (float(intercept[0]), float(intercept[1])),
    )


def _mechanism(prior: Prior) -> GP | Spline | Polynomial | Linear:
    if isinstance(prior, GP | Spline | Polynomial | Linear):
        return prior
    if prior not in _PRIORS:
        raise ModelError(
            f"prior {prior!r} is not known; choose {', '.join(map(repr, _PRIORS))} or a mechanism"
        )
    return _PRIORS[prior]()
