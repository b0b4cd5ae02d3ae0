"""Orthonormal bases of columns."""

import numpy as np
import pytest

from bayes_intgen.inference.gaussian.projection import orthonormal_basis

TOLERANCE = 1e-6


def _columns(gap: float) -> np.ndarray:
    """Five columns of different units, the last of which is nearly a sum of two others."""
    columns = np.random.default_rng(0).normal(size=(200, 5)) * [1, 1e3, 1e-3, 1, 1]
    columns[:, 4] = columns[:, 0] + columns[:, 3] + gap * columns[:, 4]
    return columns


@pytest.mark.parametrize(("gap", "rank"), [(1.0, 5), (1e-3, 5), (3e-5, 5), (0.0, 4)])
def test_basis_projects_on_the_span(gap: float, rank: int) -> None:
    """Nearly collinear columns (3e-5) need a singular value decomposition."""
    columns = _columns(gap)
    basis = orthonormal_basis(columns, TOLERANCE)
    assert basis.shape == (200, rank)
    np.testing.assert_allclose(basis.T @ basis, np.eye(rank), atol=1e-7)
    left = np.linalg.qr(columns[:, :rank])[0]
    np.testing.assert_allclose(basis @ basis.T, left @ left.T, atol=1e-6)
    # Negative control: another column of the same length is not in the span.
    other = np.random.default_rng(1).normal(size=200)
    assert np.linalg.norm(basis.T @ other) < 0.5 * np.linalg.norm(other)
