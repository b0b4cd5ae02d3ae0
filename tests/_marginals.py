"""Marginal posterior of a small fit, for tests of densities and samplers."""

import bayes_intgen as bi
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.models.variance_function import VarianceFunction

from conftest import confounded_rows


def linear_marginal_posterior() -> MarginalPosterior:
    """Posterior of straight lines, given 180 rows, with constant variance."""
    data, model = confounded_rows(60, seed=1), bi.models.additive(prior="linear")
    terms = model.decompose(data)
    sums = sufficient_statistics(data, terms, VarianceFunction(), progress=False)
    return MarginalPosterior.of(model, terms, sums)
