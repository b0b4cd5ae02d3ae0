"""Settings of the sampler."""

from dataclasses import dataclass
from typing import Literal, get_args

from bayes_intgen._arguments import one_of, probability, whole_number
from bayes_intgen.models.mechanisms.mechanism import FINER
from bayes_intgen.models.terms import OfPair, Term

Method = Literal["nuts", "laplace"]

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
    interactions_of_causes : bool
        The same, and a variance of rows with several actions set.
    changes_in_time : bool
        Effects and biases may change along dates.
    informed_directions : bool
        Added terms keep only the directions that the rows inform.
    pruning : bool
        Terms without evidence get a fixed scale.
    informed_functions : bool
        Gaussian processes of single actions lose their roughest functions before sampling.
    group_variances, intraclass_correlation : bool
        Variances of random effects, and the correlation within weighted rows, are estimated.
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
    interactions_of_causes: bool = True
    changes_in_time: bool = True
    informed_directions: bool = True
    pruning: bool = True
    informed_functions: bool = True
    group_variances: bool = True
    intraclass_correlation: bool = True
    fit_tests: bool = True
    outcome_kind: bool = True
    binned_sums: bool = True
    surrogate: bool = True
    adapted_proposals: bool = True

    def considers(self, term: Term) -> bool:
        """Whether forward selection considers a candidate."""
        if isinstance(term.gate, OfPair):
            return self.interactions_of_causes
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
            object.__setattr__(self, name, whole_number(value, name, minimum))
        accept = probability(self.target_accept, "target_accept")
        object.__setattr__(self, "target_accept", accept)
        one_of(self.method, "method", get_args(Method))
        for name in ("simplify", "progress"):
            object.__setattr__(self, name, bool(getattr(self, name)))
