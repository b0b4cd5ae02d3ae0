import numpy as np

import bayes_intgen as bi
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.inference.pilot.residuals import residuals
from bayes_intgen.models.variance_function import Homoscedastic

from conftest import confounded_rows


def test_residuals_are_corrected_for_leverage() -> None:
    data, model = confounded_rows(30, seed=1), bi.models.additive("polynomial")
    terms = model.decompose(data)
    posterior = MarginalPosterior.of(
        model, terms, sufficient_statistics(data, terms, Homoscedastic(), False)
    )
    sites = posterior.sites(posterior.start)
    corrected = residuals(data, posterior, sites, Homoscedastic(), progress=False)
    mean, covariance = posterior.moments(sites)
    design = terms.matrix(data.actions, data.intervened)
    leverage = np.diag(design @ covariance @ design.T) / float(sites["noise_sd"]) ** 2
    plain = data.outcome - terms.centre - design @ mean
    np.testing.assert_allclose(corrected, plain / np.sqrt(1 - leverage), rtol=1e-4)
    # Negative control: the correction is not negligible.
    assert not np.allclose(corrected, plain, rtol=1e-3)
    assert 0 < leverage.min() < leverage.max() < 0.95
