import re
import warnings

import pytest

import bayes_intgen as bi
from bayes_intgen.errors import ModelError, SavedFitError


@pytest.fixture(scope="module")
def fit(data) -> bi.Posterior:
    with warnings.catch_warnings():
        warnings.simplefilter("error", bi.SamplingWarning)
        return bi.fit(data, method="laplace", progress=False)


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


def test_without_pareto_k_a_fit_is_one_by_nuts_whose_divergences_are_missing(fit, tmp_path) -> None:
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


def test_other_methods_are_refused(data) -> None:
    with pytest.raises(ModelError, match="unknown method 'vi'"):
        bi.fit(data, method="vi", progress=False)
