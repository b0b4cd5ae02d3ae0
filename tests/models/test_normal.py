import numpy as np
import pytest
from scipy import special

from bayes_intgen.models.normal import FEW, normal_cdf


@pytest.mark.parametrize("count", [200, 2 * FEW])
def test_probabilities_equal_those_of_scipy(count) -> None:
    values = np.linspace(-20, 20, count).reshape(2, -1)
    np.testing.assert_allclose(normal_cdf(values), special.ndtr(values), rtol=1e-13, atol=0)
