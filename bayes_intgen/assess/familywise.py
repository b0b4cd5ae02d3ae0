"""Results of the tests of a family, with p values that hold for all of them together."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from bayes_intgen._typing import Array
from bayes_intgen.assess.bootstrap import Family


class TestResult(NamedTuple):
    """Result of the test against one alternative.

    Attributes
    ----------
    log_bayes_factor : float
        Evidence for the alternative against the null hypothesis; NaN if it has none.
    p : float
        Bootstrap p value.
    p_familywise : float
        Probability that the smallest p value of all tests is at most ``p``.
    size : float
        Standard deviation over the rows of the estimate, in the outcome's units; for a regime the
        root mean square.
    detectable : float
        Size of the smoothest function that the test detects with probability 0.9; infinite if it
        detects none.
    """

    log_bayes_factor: float
    p: float
    p_familywise: float
    size: float
    detectable: float


class BootstrapTest(Protocol):
    """Protocol of a test whose statistic has bootstrap samples under the null hypothesis.

    ``statistics``, shape (1 + N_BOOTSTRAP,), are the statistic and its samples; the other members
    are as in :class:`TestResult`.
    """

    @property
    def statistics(self) -> Array: ...
    @property
    def log_bayes_factor(self) -> float: ...
    @property
    def size(self) -> float: ...
    def detectable(self, threshold: float) -> float: ...


def familywise_results(
    tests: Mapping[int, BootstrapTest], count: int, level: float
) -> list[TestResult | None]:
    """Results of a family of tests.

    Parameters
    ----------
    tests : mapping from position to test
    count : int
        Number of positions.
    level : float
        Familywise level at which ``detectable`` is computed.

    Returns
    -------
    list of TestResult or None
        None at positions without a test.
    """
    results: list[TestResult | None] = [None] * count
    if not tests:
        return results
    family = Family.of([test.statistics for test in tests.values()], level)
    for i, p, familywise in zip(tests, family.p, family.p_familywise, strict=True):
        test = tests[i]
        results[i] = TestResult(
            test.log_bayes_factor,
            float(p),
            float(familywise),
            test.size,
            test.detectable(family.threshold),
        )
    return results
