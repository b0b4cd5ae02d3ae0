import html
import warnings

import numpy as np

import bayes_intgen as bi

from conftest import confounded_rows


def test_a_fit_its_summary_its_page_and_its_file_say_the_same(tmp_path) -> None:
    plain = confounded_rows(100, seed=0)
    # A floor, a column in two units, and an outcome of another order.
    outcome, actions = np.maximum(plain.outcome, -0.5), plain.actions.copy()
    outcome[7] = 500.0
    free = ~plain.intervened[:, 0]
    actions[free, 0] = np.exp(0.3 * actions[free, 0]) * np.where(np.arange(free.sum()) % 2, 1, 1000)
    data = bi.RegimeData.from_arrays(actions, outcome, plain.intervened, plain.names)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        posterior = bi.fit(data, bi.models.additive("linear"), method="laplace", progress=False)
    warned = [str(own.message) for own in caught if issubclass(own.category, bi.BayesIntgenWarning)]
    for words in ("two units", "lowest value", "from the fit"):
        assert words in str(warned)
    posterior.save(tmp_path / "fit.nc")
    for fit in (posterior, bi.load(tmp_path / "fit.nc")):
        assert sorted(bi.report_identification(fit).problems) == sorted(warned)
        fit.report(tmp_path / "page.html")
        page = html.unescape((tmp_path / "page.html").read_text())
        assert all(text[1:] in page for text in warned)
    of_rows = [text for text in warned if "from the fit" not in text]
    assert set(of_rows) <= {*bi.report_identification(data).problems}
