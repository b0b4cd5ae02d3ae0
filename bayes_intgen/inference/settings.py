"""Settings and techniques of a fit, and what samplers return: draws, and their diagnostics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self, get_args

from bayes_intgen._arguments import one_of, probability, whole_number
from bayes_intgen._typing import Array
from bayes_intgen.models.mechanisms.mechanism import FINER
from bayes_intgen.models.terms import Decomposition, Term, Where
from bayes_intgen.text.messages import option

Method = Literal["nuts", "laplace"]

# Maximum Pareto k at which smoothed weights correct an approximation (Vehtari, Simpson, Gelman, Yao
# and Gabry, "Pareto smoothed importance sampling", Journal of Machine Learning Research 2024).
PARETO_K_LIMIT = 0.7
# Minimum number of effective draws. The effect has more: its coefficients are drawn anew.
MIN_ESS = 200

_MINIMUM = {"chains": 1, "draws": 4, "warmup": 10, "seed": 0}


@dataclass(frozen=True)
class Techniques:
    """Techniques of inference, each of which a study may leave out to measure what it buys.

    ``analyses/ablations.py`` does. Fits use all of them.

    Attributes
    ----------
    control_variables : bool
        Biases are functions of control variables where actions have likely causes.
    control_errors : bool
        Errors of the control variables' regressions are terms of the biases.
    usual_actions : bool
        What covariates and groups make of the actions is a regressor of its own.
    finer_functions, finer_pairs : bool
        Candidates of forward selection.
    covariate_pairs : bool
        Interactions of covariates are candidates of forward selection.
    moved_knots : bool
        Knots of finer functions of two actions lie where mean residuals change most.
    interactions_of_causes : bool
        Candidates of forward selection, and a variance of rows with several actions set.
    changes_in_time : bool
        Effects and biases may change along dates or the time of rows.
    dependent_rows, dependent_scores : bool
        Dependence of rows that follow each other is in the covariance of the coefficients, and of
        the scores by which terms are selected.
    informed_directions : bool
        Added terms keep only the directions that the rows inform.
    noise_of_selection : bool
        The noise is learned again if selected terms explain much of it.
    pruning : bool
        Terms without evidence get a fixed scale.
    informed_functions : bool
        Gaussian processes of single actions lose their roughest functions before sampling.
    group_variances, intraclass_correlation : bool
        Variances of random effects, and the correlation within weighted rows, are estimated.
    noise_of_groups : bool
        The variance of the noise may differ between groups.
    fit_tests : bool
        Score tests for lack of fit.
    outcome_kind : bool
        Outcomes that are binary or counts are predicted as such.
    binned_sums : bool
        Functions of one coordinate are interpolated in sums over many rows.
    surrogate, adapted_proposals : bool
        Delayed acceptance with a surrogate, and adaptation of importance sampling.
    """

    control_variables: bool = True
    control_errors: bool = True
    usual_actions: bool = True
    finer_functions: bool = True
    finer_pairs: bool = True
    covariate_pairs: bool = True
    moved_knots: bool = True
    interactions_of_causes: bool = True
    changes_in_time: bool = True
    dependent_rows: bool = True
    dependent_scores: bool = True
    informed_directions: bool = True
    noise_of_selection: bool = True
    pruning: bool = True
    informed_functions: bool = True
    group_variances: bool = True
    intraclass_correlation: bool = True
    noise_of_groups: bool = True
    fit_tests: bool = True
    outcome_kind: bool = True
    binned_sums: bool = True
    surrogate: bool = True
    adapted_proposals: bool = True

    def considers(self, term: Term) -> bool:
        """Whether forward selection considers a candidate."""
        if isinstance(term.gate, Where) and len(term.gate.actions) > 1:
            return self.interactions_of_causes
        if term.role == "covariate" and len(term.inputs) > 1:
            return self.covariate_pairs
        if not term.component.label.startswith(FINER):
            return True
        return self.finer_functions if len(term.inputs) == 1 else self.finer_pairs


ALL_TECHNIQUES = Techniques()


@dataclass(frozen=True)
class SamplerSettings:
    """Validated settings of the sampler; :func:`bayes_intgen.fit` describes each field.

    ``techniques`` are all except in studies.

    Raises
    ------
    ModelError
        If a setting is out of range.
    """

    seed: int = 0
    chains: int = 4
    draws: int | None = None
    warmup: int = 75
    target_accept: float = 0.7
    simplify: bool = True
    progress: bool = True
    method: Method = "nuts"
    techniques: Techniques = ALL_TECHNIQUES

    def __post_init__(self) -> None:
        for name, minimum in _MINIMUM.items():
            value = getattr(self, name)
            if name == "draws" and value is None:
                continue
            # Settings are stored as JSON, which does not support NumPy integers.
            object.__setattr__(self, name, whole_number(value, option(name), minimum))
        accept = probability(self.target_accept, option("target_accept"))
        object.__setattr__(self, "target_accept", accept)
        one_of(self.method, "method", get_args(Method))
        for name in ("simplify", "progress"):
            object.__setattr__(self, name, bool(getattr(self, name)))


class ImportanceDiagnostics(NamedTuple):
    """Reliability of importance draws: of a Laplace approximation, or of an update.

    Attributes
    ----------
    pareto_k : float
        Shape of the generalised Pareto distribution that fits the largest weights.
    importance_ess : float
        Effective sample size of the weights: one over the sum of their squares.
    proposals : int
        Number of draws before resampling.
    """

    pareto_k: float
    importance_ess: float
    proposals: int

    @classmethod
    def of(cls, attrs: Mapping[Any, Any]) -> Self | None:
        """Read the attributes of group ``sample_stats``; None if the draws are those of NUTS.

        Examples
        --------
        >>> ImportanceDiagnostics.of(posterior.tree["sample_stats"].attrs) is None
        True
        """
        if "pareto_k" not in attrs:
            return None
        return cls(
            float(attrs["pareto_k"]), float(attrs["importance_ess"]), int(attrs["proposals"])
        )

    @property
    def is_reliable(self) -> bool:
        """Whether the weights correct the approximation, with enough effective draws."""
        # A comparison with NaN is false.
        return self.pareto_k <= PARETO_K_LIMIT and self.importance_ess >= MIN_ESS


class Autocorrelation(NamedTuple):
    """Correlation of the noise of two rows of a unit: ``share * decay ** (distance / step)``.

    A persistent part of the noise, an autoregression of order one, beside an independent part.

    Attributes
    ----------
    share : float
        Share of the persistent part in the variance.
    decay : float
        Its correlation over one step.
    step : float
        Median distance in time of a row from the next.
    inflation : float
        Ratio of variances of what the rows inform, over all directions of the coefficients.
    time, unit : str
        For rows without a time, which the coefficients take as independent: a date, and a grouping,
        in whose order neighbours are correlated; empty for the order of the table.
    """

    share: float
    decay: float
    step: float
    inflation: float = 1.0
    time: str = ""
    unit: str = ""

    @property
    def next(self) -> float:
        """Correlation with the next row."""
        return self.share * self.decay


INDEPENDENT = Autocorrelation(0.0, 0.0, 1.0)


class Draws(NamedTuple):
    """Draws of a target by any sampler.

    Attributes
    ----------
    flat : ndarray, shape (chain, draw, D)
        Logarithms of the hyperparameters.
    coefficients : ndarray, shape (chain, draw, P)
        Conditional draws of the coefficients, and of any padding.
    statistics : dict of ndarray, each (chain, draw)
        Named as in ArviZ's schema.
    importance : ImportanceDiagnostics, optional
        Reliability of importance draws; None for draws of NUTS.
    """

    flat: Array
    coefficients: Array
    statistics: dict[str, Any]
    importance: ImportanceDiagnostics | None = None


class SampledModel(NamedTuple):
    """Draws of all hyperparameters and coefficients, from any sampler.

    Attributes
    ----------
    terms : Decomposition
        Terms of the sampled model.
    sites : dict of ndarray, each (chain, draw, ...)
        Hyperparameters.
    coefficients : ndarray, shape (chain, draw, P)
    statistics : dict of ndarray, each (chain, draw)
        Sampler statistics.
    fixed_scales : dict from term to float
        Scales that are fixed instead of sampled.
    autocorrelation : Autocorrelation
        Dependence between rows that the coefficients allow for.
    importance : ImportanceDiagnostics, optional
        Reliability of importance draws; None for draws of NUTS.
    """

    terms: Decomposition
    sites: dict[str, Array]
    coefficients: Array
    statistics: dict[str, Any]
    fixed_scales: dict[str, float]
    autocorrelation: Autocorrelation
    importance: ImportanceDiagnostics | None = None
