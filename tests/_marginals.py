"""Marginal posteriors of small fits, for tests of densities and samplers."""

import bayes_intgen as bi
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.factor import GaussianFactor
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.variance_function import VarianceFunction


def marginal_posterior(
    data: Observations, model: bi.models.AdditiveModel, terms: Decomposition | None = None
) -> MarginalPosterior:
    """Posterior given all rows, with constant variance."""
    terms = terms or model.decompose(data)
    sums = sufficient_statistics(data, terms, VarianceFunction(), progress=False)
    return MarginalPosterior.of(model, terms, sums)


def of_more_rows(posterior: MarginalPosterior, times: float) -> MarginalPosterior:
    """Posterior given each of the rows many times, all of weight one."""
    sums = posterior.sums
    factor = GaussianFactor(times * sums.factor.matrix, sums.factor.log_scale)
    more = sums._replace(rows=times * sums.rows, factor=factor)
    return MarginalPosterior.given(posterior.priors, more, posterior.terms)
