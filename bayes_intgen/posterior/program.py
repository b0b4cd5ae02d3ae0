"""Generative NumPyro program of one fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import xarray as xr

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.gaussian.passes import pseudo_observations, relative_noise_sd
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition, PseudoObservations
from bayes_intgen.models.variance_function import VarianceFunction

if TYPE_CHECKING:
    from jax.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class Program:
    """A NumPyro program over hyperparameters, coefficients and rows.

    :meth:`bayes_intgen.Posterior.program` makes it. Its sites are ``scale``, ``lengthscale`` and
    ``noise_sd`` (those that the fit sampled), ``df`` where the noise is Student-t, ``weights``
    (the coefficients in units of their priors), ``coefficients``, and ``outcome``, in the
    outcome's units.

    Attributes
    ----------
    model : Model
    terms : Decomposition
        Selected terms included, with the prior medians estimated from the data.
    fixed : mapping from term to float
        Prior standard deviations that were not sampled, in units of ``noise_sd``.
    functions : ndarray, shape (n, P)
        Basis functions of every term in every row.
    gates : ndarray, shape (n, number of terms)
        Gate of each term in each row: how far the term acts there.
    relative_sd : ndarray, shape (n,)
        Standard deviation of each row's noise in units of ``noise_sd``, by the variance function.
    observed : ndarray, shape (n,)
        Outcome of the data.
    lift_tests : PseudoObservations, optional
        Lift tests of the data, on which the program is always conditioned.
    """

    model: Model
    terms: Decomposition
    fixed: Mapping[str, float]
    functions: Array
    gates: Array
    relative_sd: Array
    observed: Array
    lift_tests: PseudoObservations | None

    @classmethod
    def of(
        cls,
        model: Model,
        terms: Decomposition,
        fixed: Mapping[str, float],
        spread: VarianceFunction,
        data: Observations,
    ) -> Self:
        """Build the program at the rows of ``data``."""
        return cls(
            model,
            terms,
            dict(fixed),
            terms.functions(data.inputs),
            terms.gates(data.intervened),
            relative_noise_sd(spread, data),
            data.outcome,
            pseudo_observations(data, terms),
        )

    def __call__(self, outcome: "ArrayLike | Literal['observed'] | None" = "observed") -> None:
        """Run the program, inside a NumPyro handler.

        Parameters
        ----------
        outcome : "observed", None or array_like, shape (n,)
            By default the program is conditioned on the outcome of the data, with None on no
            outcome, otherwise on these values in the outcome's units.
        """
        observed = self.observed if isinstance(outcome, str) else outcome
        self.model.program(
            self.terms,
            self.functions,
            self.gates,
            self.relative_sd,
            observed,
            self.lift_tests,
            fixed=self.fixed,
            own_units=True,
        )


def fixed_in_noise_units(constant: xr.Dataset) -> dict[str, float]:
    """Scales that a fit did not sample, in units of ``noise_sd``, by term."""
    ratios = constant["fixed_scale"] / constant["pilot_noise_sd"]
    return {str(name): float(ratio) for name, ratio in ratios.to_series().items()}
