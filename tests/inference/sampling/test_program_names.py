from dataclasses import dataclass

import numpy as np

from bayes_intgen.inference.density.blocks import log_marginal_by_blocks
from bayes_intgen.inference.density.flat_hyperprior import (
    MarginalPotential,
    MarginalPotentialAndDraw,
)
from bayes_intgen.inference.density.log_density import FlatLayout
from bayes_intgen.inference.gaussian.evidence import log_marginal, log_marginal_and_draw
from bayes_intgen.inference.sampling.program_names import name_of


@dataclass(frozen=True)
class Outside:
    """Dataclass that is not of the package."""

    size: int = 3


def test_names_tell_functions_apart() -> None:
    layout = FlatLayout.of({"noise_sd": 1.0})
    other = FlatLayout.of({"noise_sd": 1.0, "scale": np.ones(2)})
    functions = [
        MarginalPotential(log_marginal, layout),
        MarginalPotential(log_marginal_by_blocks, layout),
        MarginalPotential(log_marginal, other),
        MarginalPotentialAndDraw(log_marginal_and_draw, layout),
        (MarginalPotential(log_marginal, layout), None),
    ]
    names = {name_of(each) for each in functions}
    assert None not in names
    assert len(names) == len(functions)
    assert name_of(MarginalPotential(log_marginal, FlatLayout.of({"noise_sd": 2.0}))) in names


def test_functions_that_the_package_does_not_determine_have_no_name() -> None:
    layout = FlatLayout.of({"noise_sd": 1.0})
    closure = lambda statistics, log_sd, noise_sd: log_sd.sum()  # noqa: E731
    for each in (closure, np.linalg.cholesky, Outside(), MarginalPotential(closure, layout)):
        assert name_of(each) is None, each
