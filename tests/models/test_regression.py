import pytest

import bayes_intgen as bi

from conftest import confounded_rows


def test_saturated_model_rejects_regimes_that_are_no_combination() -> None:
    rows, model = confounded_rows(100, seed=11).only([], ["red"]), bi.models.saturated("linear")
    posterior = bi.fit(rows, model, method="laplace", draws=100, progress=False)
    with (
        pytest.warns(bi.SupportWarning, match="is not identified"),
        pytest.raises(bi.ModelError, match="no combination"),
    ):
        posterior.joint_effect([[0.5, 1.0]])
