"""Diagnostics of posterior draws: convergence, divergences and importance weights, in words."""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Self

import numpy as np
import xarray as xr

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen.inference.sampling.convergence import (
    ESS_LIMIT,
    RHAT_LIMIT,
    Convergence,
    monitored_points,
)
from bayes_intgen.inference.settings import (
    MIN_ESS,
    PARETO_K_LIMIT,
    ImportanceDiagnostics,
)
from bayes_intgen.posterior.draws import PosteriorDraws
from bayes_intgen.text.messages import option


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """Diagnostics of the draws of a fit.

    Attributes
    ----------
    quantities : Dataset, dims (chain, draw, ...)
        Hyperparameters, and the joint effect at points typical of the data, on the scale on which
        terms add up.
    statistics : Dataset
        Group ``sample_stats`` of the fit.
    importance : ImportanceDiagnostics or None
        Of a Laplace approximation, to which R-hat and effective draws do not apply.
    """

    quantities: xr.Dataset
    statistics: xr.Dataset
    importance: ImportanceDiagnostics | None

    @classmethod
    def of(cls, posterior: PosteriorDraws) -> Self:
        """Collect the draws of a fit, with the effect that NUTS monitors."""
        tree, terms = posterior.tree, posterior.terms
        masks = (tree["constant_data"].dataset["intervened"].values > 0).tolist()
        rows = tree["support"].dataset["reference"].values
        monitored = monitored_points(posterior.model, [tuple(mask) for mask in masks], rows)
        coefficients = tree["coefficients"].dataset["coefficients"].values
        effect = coefficients @ terms.matrix(*monitored).T + terms.centre
        effects = labelled_dataset({"joint_effect": (("chain", "draw", "point"), effect)})
        quantities = tree["posterior"].to_dataset().assign(effects.variables)
        statistics = tree["sample_stats"].dataset
        return cls(quantities, statistics, ImportanceDiagnostics.of(statistics.attrs))

    @cached_property
    def convergence(self) -> Convergence:
        """R-hat and effective sample size of each quantity."""
        every = [own.transpose("chain", "draw", ...) for own in self.quantities.data_vars.values()]
        names = [name for own in every for name in _names(own)]
        flat = [own.values.reshape(*own.shape[:2], -1) for own in every]
        return Convergence.of(np.concatenate(flat, axis=2), names)

    def count(self, statistic: str) -> int:
        """Number of draws with a property, such as ``diverging``."""
        return int(self.statistics[statistic].values.sum()) if statistic in self.statistics else 0

    def problems(self) -> list[str]:
        """Describe problems with the draws, worst first; empty if there are none."""
        found = [
            f"draws of {name} are not all finite: do not use them; check the data for extreme "
            "values"
            for name, values in self.quantities.data_vars.items()
            if not np.isfinite(values.values).all()
        ]
        is_finite = not found
        if self.importance is not None:
            return found or _unreliable_weights(self.importance)
        total = self.statistics["diverging"].size
        if diverging := self.count("diverging"):
            found.append(
                f"{diverging} of {total} draws ended in a divergence, so part of the posterior may "
                f"be missing: rerun with {option('target_accept', '0.95')} or more"
                + option(", or use tighter priors", command="")
            )
        if is_finite:
            sizes = self.quantities.sizes
            found += _unconverged(self.convergence, sizes["chain"], sizes["draw"])
            if deepest := self.count("reached_max_treedepth"):
                found.append(
                    f"{deepest} of {total} draws reached the maximum tree depth: sampling is slow "
                    "but not wrong" + option("; tighter priors help", command="")
                )
        return found

    def sentence(self) -> str:
        """Describe draws without problems."""
        if self.importance is not None:
            return (
                f"Importance weights: Pareto k {self.importance.pareto_k:.2f} (at most "
                f"{PARETO_K_LIMIT}), {self.importance.importance_ess:.0f} effective draws of the "
                "hyperparameters: fit for use."
            )
        worst = float(self.convergence.rhat.max())
        agree = f"R-hat at most {worst:.3f}, " if np.isfinite(worst) else ""
        return (
            f"No divergences, {agree}at least {float(self.convergence.ess.min()):.0f} effective "
            "draws: fit for use."
        )

    def to_dataset(self) -> xr.Dataset:
        """Label R-hat and effective sample sizes, or the diagnostics of importance weights."""
        if self.importance is not None:
            return xr.Dataset(attrs=self.importance._asdict())
        found, attrs = self.convergence, {"divergences": self.count("diverging")}
        columns = {"rhat": ("quantity", found.rhat), "ess": ("quantity", found.ess)}
        return xr.Dataset(columns, {"quantity": found.names}, attrs)


def _names(draws: xr.DataArray) -> list[str]:
    """Names of all elements of a variable (chain, draw, ...), for example ``scale[phi(red)]``."""
    rest = draws.dims[2:]
    if not rest:
        return [str(draws.name)]
    labels = product(*(draws[dim].values.tolist() for dim in rest))
    return [f"{draws.name}[{', '.join(map(str, label))}]" for label in labels]


def _unreliable_weights(importance: ImportanceDiagnostics) -> list[str]:
    """Problems of a Laplace approximation, to which R-hat and effective draws do not apply."""
    # A comparison with NaN is false.
    if not importance.pareto_k <= PARETO_K_LIMIT:
        reason = (
            f"Pareto k is {importance.pareto_k:.2f}, above {PARETO_K_LIMIT}: the posterior is too "
            "far from its Laplace approximation for importance weights to correct"
        )
    elif not importance.importance_ess >= MIN_ESS:
        reason = (
            f"the importance weights of the Laplace approximation are worth "
            f"{importance.importance_ess:.0f} draws, fewer than {MIN_ESS}: intervals are noisy"
        )
    else:
        return []
    return [f"{reason}; fit with {option('method', 'nuts')}"]


def _unconverged(of_each: Convergence, chains: int, draws: int) -> list[str]:
    """Chains that disagree, which have few effective draws too, or few effective draws."""
    above, below = of_each.rhat > RHAT_LIMIT, of_each.ess < ESS_LIMIT
    if chains > 1 and above.any():
        worst = int(np.nanargmax(of_each.rhat))
        return [
            f"R-hat is {of_each.rhat[worst]:.3f} for {of_each.names[worst]} "
            f"(and above {RHAT_LIMIT} for {int(above.sum())} quantities): "
            f"the chains disagree; raise {option('warmup')}, and fit with "
            f"{option('draws', str(2 * draws))} or more"
        ]
    if not below.any():
        return []
    worst = int(np.nanargmin(of_each.ess))
    smallest = of_each.ess[worst]
    enough = int(np.ceil(ESS_LIMIT / max(smallest, 1) * draws / 100) * 100)
    return [
        f"the effective sample size is {smallest:.0f} for {of_each.names[worst]} "
        f"(and below {ESS_LIMIT} for {int(below.sum())} quantities): "
        f"its intervals are noisy; rerun with {option('draws', str(enough))} or so"
    ]
