import numpy as np
import pytest

import bayes_intgen as bi

from conftest import confounded_rows, joint_truth

POINTS = np.array([[0.5, 1.0], [-0.5, -1.0], [1.0, -0.5]])
SHORT = {"method": "laplace", "draws": 100, "progress": False}


def errors(posterior: bi.Posterior) -> np.ndarray:
    """Distances from the true joint effect, in posterior standard deviations."""
    effect = posterior.joint_effect(POINTS)
    mean, sd = effect.mean(("chain", "draw")), effect.std(("chain", "draw"))
    return np.abs((mean - joint_truth(POINTS)) / sd).to_numpy()


@pytest.fixture(scope="module")
def rows() -> bi.RegimeData:
    return confounded_rows(400, seed=11)


@pytest.fixture(scope="module")
def separate(rows) -> bi.Posterior:
    return bi.fit(rows, bi.models.saturated("polynomial"), **SHORT)


def test_saturated_model_combines_regimes_by_their_weights(separate) -> None:
    effects = {r: separate.effect(POINTS, list(r)) for r in ((), ("red",), ("green",))}
    combined = effects["red",] + effects["green",] - effects[()]
    np.testing.assert_allclose(separate.joint_effect(POINTS), combined, rtol=1e-9, atol=1e-9)
    # Negative control: the joint effect differs from all three.
    for effect in effects.values():
        assert not np.allclose(separate.joint_effect(POINTS), effect)
    assert (errors(separate) < 4).all()


def test_saturated_model_rejects_regimes_that_are_no_combination(rows) -> None:
    posterior = bi.fit(rows.only([], ["red"]), bi.models.saturated("linear"), **SHORT)
    with (
        pytest.warns(bi.SupportWarning, match="is not identified"),
        pytest.raises(bi.ModelError, match="no combination"),
    ):
        posterior.joint_effect(POINTS)
