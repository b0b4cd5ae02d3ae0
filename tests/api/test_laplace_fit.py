import re
import warnings

import arviz as az
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.errors import ModelError, SavedFitError

from conftest import joint_truth

POINTS = np.array([[0.0, 0.0], [0.5, 1.25], [-0.5, -1.25]])


@pytest.fixture(scope="module")
def rows(data) -> bi.RegimeData:
    return data


@pytest.fixture(scope="module")
def fit(rows) -> bi.Posterior:
    with warnings.catch_warnings():
        warnings.simplefilter("error", bi.SamplingWarning)
        return bi.fit(rows, method="laplace", progress=False)


def test_a_posterior_with_the_usual_dimensions(fit) -> None:
    effect = fit.joint_effect(POINTS)
    assert effect.sizes == {"chain": 4, "draw": 250, "point": 3}
    mean, sd = effect.mean(("chain", "draw")), effect.std(("chain", "draw"))
    assert (np.abs(mean - joint_truth(POINTS)) < 3.5 * sd).all()
    # Negative control: the observational mean is not the joint effect.
    observed = fit.effect(POINTS, []).mean(("chain", "draw"))
    assert (np.abs(observed - joint_truth(POINTS)) > 5 * sd)[1:].all()
    assert float(az.ess(effect).min()) > 500
    assert fit.contrast(POINTS[[1]], POINTS[[0]]).sizes["draw"] == 250


def test_pareto_k_takes_the_place_of_divergences(fit, tmp_path) -> None:
    statistics = fit.tree["sample_stats"]
    assert "diverging" not in statistics
    assert 0 < statistics.attrs["importance_ess"] <= statistics.attrs["proposals"]
    line = f"Importance weights: Pareto k {statistics.attrs['pareto_k']:.2f} (at most 0.7)"
    assert line in str(fit)
    assert "1,000 importance draws" in repr(fit)
    assert not any(word in str(fit) for word in ("R-hat", "ivergen", "chain"))
    fit.report(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Pareto k (at most 0.7)" in page
    assert line in page
    assert '<th scope="row">method</th><td>laplace</td>' in page
    assert not any(word in page for word in ("R-hat", "divergent", "warmup", "NumPyro", "chains"))


def test_a_saved_fit_answers_like_the_fit(fit, tmp_path) -> None:
    fit.save(tmp_path / "fit.nc")
    saved = bi.load(tmp_path / "fit.nc")
    np.testing.assert_array_equal(saved.joint_effect(POINTS), fit.joint_effect(POINTS))
    assert saved.tree["sample_stats"].attrs == fit.tree["sample_stats"].attrs
    # Without Pareto k it would be a fit by NUTS, whose divergences are missing.
    tree = fit.tree.copy()
    tree["sample_stats"].attrs = {}
    with pytest.raises(SavedFitError, match="divergences"):
        bi.Posterior(tree).save(tmp_path / "other.nc")


@pytest.mark.parametrize(
    ("k", "ess", "message"),
    [
        (0.83, 900.0, r'^Pareto k is 0\.83, above 0\.7.*method="nuts"'),
        (0.3, 57.0, r'^the importance weights .* are worth 57 draws.*method="nuts"'),
    ],
)
def test_unreliable_weights_are_named_with_the_remedy(fit, k, ess, message) -> None:
    tree = fit.tree.copy()
    tree["sample_stats"].attrs = {"pareto_k": k, "importance_ess": ess, "proposals": 4000}
    report = bi.report_identification(bi.Posterior(tree))
    (problem,) = report.problems
    assert re.match(message, problem)
    assert problem[1:] in str(report).replace("\n    ", " ")


def test_other_methods_are_refused(rows) -> None:
    with pytest.raises(ModelError, match="unknown method 'vi'"):
        bi.fit(rows, method="vi", progress=False)
