"""Tests of the shapes of effects against the free fit.

The statistic of an action is the largest violation of its shape, in posterior standard deviations,
between any two values, or of a chord between any three. Its null distribution is that of a flat
effect, or of a straight one, where every inequality is tight: the least favourable case, since
elsewhere the statistic is smaller.
"""

import numpy as np

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.assess.bootstrap import (
    N_BOOTSTRAP,
    POWER_SAMPLES,
    BootstrapResult,
    BootstrapTest,
    Departure,
    familywise_results,
)
from bayes_intgen.assess.hypotheses import NullModel
from bayes_intgen.assess.score_tests import SIZES
from bayes_intgen.models import AdditiveModel
from bayes_intgen.models.mechanisms.mechanism import Shape
from bayes_intgen.models.shapes import Inequalities, inequalities

# Number of evenly spaced values of an action, and of quantiles, that are compared.
N_VALUES = 8


def shape_tests(
    null: NullModel, model: AdditiveModel, level: float, seed: int
) -> list[BootstrapResult]:
    """Test the shapes of all actions, with familywise p values.

    Labels say where an effect violates its shape most. ``size`` is the largest difference or
    distance from a chord against the shape, in the outcome's units.
    """
    data, terms = null.data, null.fit.terms
    shapes = model.shapes(data)
    normal = generator(seed, "check", 4).standard_normal((N_BOOTSTRAP, terms.size))
    bounds: dict[int, list[Inequalities]] = {}
    for bound in inequalities(terms, shapes, data.actions, N_VALUES, neighbours=False):
        bounds.setdefault(bound.action, []).append(bound)
    tests = [_test(null, data.names[k], shapes[k], own, normal) for k, own in bounds.items()]
    return familywise_results(tests, level)


def _test(
    null: NullModel, name: str, shape: Shape, bounds: list[Inequalities], normal: Array
) -> BootstrapTest:
    """Test of the non-negative functions of the coefficients that a shape requires."""
    matrix = np.concatenate([bound.matrix for bound in bounds])
    root = matrix @ null.fit.conditional.root
    sd = np.sqrt((root**2).sum(axis=1))
    # What no row informs, and no prior lets vary, is no violation.
    root = root / np.maximum(sd, 1e-9 * sd.max())[:, None]
    violations = -matrix @ null.fit.conditional.mean / np.maximum(sd, 1e-9 * sd.max())
    worst, samples = int(violations.argmax()), normal @ root.T
    statistics = np.append(violations.max(), samples.max(axis=1))
    towards, unit = root @ root[worst] / sd[worst], null.fit.terms.unit

    def moved(size: float) -> Array:
        return np.asarray((samples[:POWER_SAMPLES] + size * towards).max(axis=1))

    size = max(float(violations[worst] * sd[worst]), 0.0)
    of = Departure("shape", _label(name, shape, bounds, worst), (name,))
    return BootstrapTest(of, statistics, statistics[1:], moved, size, unit * SIZES)


def _label(name: str, shape: Shape, bounds: list[Inequalities], worst: int) -> str:
    """Where an effect violates its shape most, in words."""
    every = [(bound, ends) for bound in bounds for ends in bound.ends]
    bound, (first, last) = every[worst]
    wrong = "lies below its chord"
    if bound.rising:
        wrong = "rises" if shape == "decreasing" else "falls"
    where = f"between {name} = {first:.3g} and {last:.3g}"
    return f"the effect of {name} is not {shape}: it {wrong} {where}"
