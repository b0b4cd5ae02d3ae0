import numpy as np
from scipy.optimize import minimize

from bayes_intgen.inference.sampling.samplers import projected


def test_projection_is_the_nearest_point_that_obeys_the_inequalities() -> None:
    rng = np.random.default_rng(0)
    root, matrix = rng.normal(size=(5, 5)), rng.normal(size=(7, 5))
    covariance, draws = root @ root.T, 2 * rng.normal(size=(20, 5))
    precision = np.linalg.inv(covariance)
    found = projected(draws, covariance, matrix)
    violated = (draws @ matrix.T < 0).any(axis=1)
    assert violated.sum() > 5
    # What obeys all inequalities stays to the last bit.
    np.testing.assert_array_equal(found[~violated], draws[~violated])
    assert (found @ matrix.T > -1e-8).all()
    inequalities = {"type": "ineq", "fun": lambda b: matrix @ b}
    for draw, own in zip(draws[violated], found[violated], strict=True):
        rules = {"constraints": inequalities, "options": {"ftol": 1e-12}}
        best = minimize(lambda b, y: (b - y) @ precision @ (b - y), own, (draw,), **rules)
        assert best.success
        np.testing.assert_allclose(own, best.x, atol=1e-4)
