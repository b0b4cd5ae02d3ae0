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
    for draw, own in zip(draws[violated], found[violated], strict=True):

        def distance(b: np.ndarray, draw: np.ndarray = draw) -> float:
            return float((b - draw) @ precision @ (b - draw))

        inequalities = {"type": "ineq", "fun": lambda b: matrix @ b}
        best = minimize(distance, own, constraints=inequalities, options={"ftol": 1e-12})
        assert best.success
        np.testing.assert_allclose(own, best.x, atol=1e-4)


def test_what_no_inequality_concerns_moves_by_regression() -> None:
    covariance = np.array([[1.0, 0.6], [0.6, 2.0]])
    (found,) = projected(np.array([[-2.0, 1.0]]), covariance, np.array([[3.0, 0.0]]))
    np.testing.assert_allclose(found, [0.0, 1.0 + 0.6 * 2.0], atol=1e-12)
