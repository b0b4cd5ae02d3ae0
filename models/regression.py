"""Plain regressions as baselines.

`pooled` ignores which actions were set, so that its answers are confounded. `saturated` fits a
separate regression in each regime and combines them: unbiased but imprecise. It is the estimator of
Kekić et al. (2025, arXiv 2506.04945), with products of at most two actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bayes_intgen.data.rows import Observations
from bayes_intgen.identification.regimes import Mask, is_identified
from bayes_intgen.models.adjustment import Adjustment
from bayes_intgen.models.base import CONSTANT, Bases, Function, Model
from bayes_intgen.models.mechanisms.mechanism import pairwise
from bayes_intgen.models.terms import ALWAYS, Decomposition, Gate, InRegime, Term


@dataclass(frozen=True)
class RegressionModel(Model):
    """Plain regressions on all actions and their pairwise products.

    Build them with :func:`pooled` or :func:`saturated`.

    Attributes
    ----------
    by_regime : bool
        Whether each regime has a regression of its own.
    """

    by_regime: bool

    def decompose(self, data: Observations, rows: int | None = None) -> Decomposition:
        gates: dict[str, Gate] = {"f": ALWAYS}
        if self.by_regime:
            regimes = tuple(data.regimes)
            gates = {data.label(mask): InRegime(regimes, i) for i, mask in enumerate(regimes)}
        names, mechanisms = data.names, self.mechanisms(data)
        bases = Bases(data, mechanisms, rows)
        pairs = [(k, j) for k in range(len(names)) for j in range(k)]
        terms: list[Term] = []
        for label, gate in gates.items():
            if gate != ALWAYS:
                terms.append(Term(f"{label} level", "regression", None, (), CONSTANT, 1.0, gate))
            for k, name in enumerate(names):
                f = Function(f"{label}({name})", "regression", k, mechanisms[k], gate)
                terms += [f.term(c, k) for c in bases.main_effect(f.prior, k)]
            for k, j in pairs:
                name = f"{label}({names[k]} | {names[j]})"
                f = Function(name, "regression", k, mechanisms[k], gate)
                # Functions of the other action alone are its main effect.
                factors = bases.margin(f.prior, k), bases.margin(f.prior, j)
                both = [c for c in pairwise(f.prior, *factors, bases.rows) if c.inputs == (0, 1)]
                terms += [f.term(c, k, j) for c in both]
        effects = None
        if len(data.columns):
            adjustment = Adjustment(data, bases, self.prior, mechanisms)
            terms += adjustment.terms()
            effects = adjustment.random_effects()
        return self.decomposition(data, bases, terms, effects)

    def identifies(self, regimes: Sequence[Mask], target: Mask) -> bool:
        return not self.by_regime or is_identified(regimes, target)
