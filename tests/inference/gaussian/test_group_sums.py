"""Random effects, integrated out of sums and in dense matrices."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import bayes_intgen as bi
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import (
    sufficient_statistics,
)
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.variance_function import VarianceFunction

MODEL = bi.models.additive("linear", groups={"patient": ["level", "a1"]})


def _data(patients: int = 90, visits: int = 3) -> bi.RegimeData:
    rng = np.random.default_rng(0)
    patient = rng.permutation(np.repeat(np.arange(patients), visits))
    actions = rng.normal(size=(len(patient), 2))
    intervened = np.eye(3, 2, -1, dtype=bool)[patient % 3]
    level, slope = rng.normal(size=(2, patients))
    outcome = actions[:, 0] + level[patient] + slope[patient] * actions[:, 0]
    outcome = outcome + 0.3 * rng.normal(size=len(patient))
    return bi.RegimeData.from_arrays(
        actions, outcome, intervened, groups={"patient": patient.astype(str)}
    )


def _terms(data: Observations, ratio: tuple[float, ...] = (0.8, 2.0)) -> Decomposition:
    terms = MODEL.decompose(data)
    assert terms.random_effects is not None
    return replace(terms, random_effects=replace(terms.random_effects, ratio=ratio))


def _covariance(data: Observations, terms: Decomposition) -> np.ndarray:
    """Covariance of the rows' outcomes given the coefficients, in units of the noise."""
    effects = terms.random_effects
    assert effects is not None
    columns, codes = effects.functions(data.inputs), data.covariates[:, 0]
    same = codes[:, None] == codes
    return np.eye(len(data)) + same * ((columns * np.array(effects.ratio)) @ columns.T)


def of_terms(data: Observations, terms: Decomposition) -> MarginalPosterior:
    statistics = sufficient_statistics(data, terms, VarianceFunction(), False)
    return MarginalPosterior.of(MODEL, terms, statistics)


def test_log_evidence_is_that_of_a_normal_distribution_with_dense_covariance() -> None:
    data, sd, noise_sd = _data(), 0.7, 0.4
    terms = _terms(data)
    posterior = of_terms(data, terms)
    priors = posterior.priors
    sites = {"scale": np.full(len(terms.scales), sd), "noise_sd": np.array(noise_sd)}
    matrix = terms.matrix(data.inputs, data.intervened)
    prior = matrix * np.exp(2 * priors.log_sd(sites)) @ matrix.T
    covariance = prior + noise_sd**2 * _covariance(data, terms)
    expected = stats.multivariate_normal.logpdf(
        data.outcome - terms.centre, matrix @ priors.mean, covariance
    )
    assert posterior.conditional(sites).log_evidence == pytest.approx(expected, rel=1e-9)
    # Negative control: independent rows have another density.
    rows = replace(terms, random_effects=None)
    other = of_terms(data, rows).conditional(sites).log_evidence
    assert abs(other - expected) > 10
