"""History and single experiments from a table in which all actions were randomised together.

The rows of a regime are a selection of the table's rows, after which the causes are hidden: RCT
rejection sampling (Keith et al. 2023, arXiv 2307.15176; before them Gentzel et al. 2021,
arXiv 2010.03051). Outcomes and mechanisms are real. The joint effect is known from all rows.
"""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2_contingency

from bayes_intgen._arguments import instance, items, probability, whole_number
from bayes_intgen._random import Seed, generator, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.data.regime_labels import OBSERVATIONAL, SEPARATOR
from bayes_intgen.data.schema import refuse_absent, refuse_two_roles
from bayes_intgen.errors import DataError
from bayes_intgen.text.messages import quoted

REGIME = "regime"
# Probability of refusing a randomised table, for all pairs of columns together (Bonferroni).
FALSE_ALARM = 0.001
# Number of classes of ranks in the tests of independence.
TEST_CLASSES = 5
# Maximum number of classes of ranks between which the probability of keeping a row differs.
MAX_CLASSES = 64
# Maximum of the exponent's factor; ranks of an action and its cause then differ by about 0.01.
MAX_PRECISION = 1e4
# Fewest rows of a regime.
MIN_ROWS = 20
# Numeric columns with more distinct values are scales, others levels.
MAX_LEVELS = 10
# Degree of the polynomials of scales and of their products, and ranks at which effects are given.
DEGREE = 5
GRID = (0.1, 0.3, 0.5, 0.7, 0.9)
# Limits of the regression for the joint effect: rows for each term, and terms and settings, for
# memory.
ROWS_PER_TERM = 20
MAX_TERMS = 256
MAX_SETTINGS = 1000


class Dataset(NamedTuple):
    """Rows with hidden causes, and the joint effect that they should lead to.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns of the actions and the outcome, and ``regime``, which names the action that was
        set: ``"observational"`` for the history.
    joint : pandas.DataFrame
        A row per joint setting: columns of the actions, ``effect``, the mean outcome with all
        actions set, and its ``standard_error``, both from all rows of the randomised table.
    actions : tuple of str
    outcome : str

    Examples
    --------
    >>> known = bi.datasets.compiler(rows=200)
    >>> posterior = bi.fit(known.data, method="laplace", draws=100, progress=False)
    >>> settings = known.joint[list(known.actions)]
    >>> error = posterior.joint_effect(settings).mean(["chain", "draw"]) - known.joint["effect"]
    >>> bool(abs(error).mean() < known.frame["run_time"].std() / 4)
    True
    """

    frame: pd.DataFrame
    joint: pd.DataFrame
    actions: tuple[str, ...]
    outcome: str

    @property
    def data(self) -> RegimeData:
        """The rows of ``frame``, for :func:`bayes_intgen.fit`."""
        return RegimeData.from_frame(self.frame, self.actions, outcome=self.outcome, regime=REGIME)


@takes_rng
def confound(
    frame: pd.DataFrame,
    actions: Sequence[str],
    causes: Sequence[str],
    outcome: str,
    *,
    strength: float = 0.8,
    rows: int | None = None,
    joint_rows: int = 0,
    seed: Seed = 0,
) -> Dataset:
    """Make history and single experiments of a randomised table, and hide the causes.

    Parameters
    ----------
    frame : pandas.DataFrame
        A table in which actions and causes were set at random, independently of each other: a
        factorial design, a survey experiment, a laboratory.
    actions : sequence of str, length K
        Columns of the actions: numbers or levels.
    causes : sequence of str, length K
        Columns that become the hidden cause of each action: numbers or levels.
    outcome : str
        Column of the outcome: numbers.
    strength : float
        Correlation of the ranks of each action and its cause in the history, between 0 and 1.
        Levels are ranked in the order of a categorical, others by their sorted names.
    rows : int, optional
        Rows of each regime; by default as many as the table yields, about equally many per regime.
    joint_rows : int
        Number of rows in which all actions are set, in a regime of their own.
    seed : int
        The same seed gives the same rows.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        For columns that are absent, incomplete, constant or used twice; if actions or causes depend
        on each other, with a joint false-alarm probability of 0.1% over chi-squared tests of all
        pairs; if the table yields too few rows; or if the causes allow no such strength.

    Notes
    -----
    Joint rows are chosen first, at random. Every other row is assigned to one regime at
    random, so that none is used twice, and kept with a probability proportional to the product over
    k of

        w_k(a_k, c_k) = exp(-t_k (r(a_k) - r(c_k))^2 / 2) / m_k(c_k),

    where r are ranks between 0 and 1, t_k attains the strength, and m_k is such that w_k has mean 1
    over the actions for each value of the cause. In the experiment on action j, the factor w_j is
    left out. The law of the causes is then that of the table, in all regimes.

    The joint effect is a regression on all rows of the table, with an indicator of each combination
    of levels (text, booleans, categories, and numbers with at most 10 values) and polynomials of
    degree 5 of the ranks of other numbers, products included. It is adjusted for the causes, which
    makes it more precise (Lin 2013, arXiv 1208.2301), and has sandwich standard errors, as if rows
    were independent. Numbers are set to their quantiles of 10, 30, 50, 70 and 90%; what a
    polynomial of degree 5 does not fit is not part of the standard error.

    Examples
    --------
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> trial = pd.DataFrame(rng.uniform(size=(5_000, 4)), columns=["tv", "radio", "mood", "rain"])
    >>> trial["sales"] = trial["tv"] + trial["radio"] ** 2 + trial["mood"] - trial["rain"]
    >>> known = bi.datasets.confound(trial, ["tv", "radio"], ["mood", "rain"], "sales", rows=150)
    >>> known.data
    RegimeData: 450 rows, outcome 'sales', actions 'tv', 'radio'
      observational  150
      do(tv)         150
      do(radio)      150
    >>> known.joint.round(2).head(2)
        tv  radio  effect  standard_error
    0  0.1   0.10    0.11             0.0
    1  0.1   0.31    0.19             0.0
    """
    names, hidden = _names(frame, actions, causes, outcome)
    strength = probability(strength, "strength", DataError)
    wanted = MIN_ROWS if rows is None else whole_number(rows, "rows", MIN_ROWS, DataError)
    ranks = {name: _ranks(frame[name]) for name in (*names, *hidden)}
    _check_independent(ranks)
    weights = [
        _weights(ranks[action], ranks[cause], strength, (action, cause))
        for action, cause in zip(names, hidden, strict=True)
    ]
    rng = generator(seed, "selection")
    # Regimes that keep fewer of their rows are assigned more.
    maxima = np.array([weight.max() for weight in weights])
    odds = maxima.prod() / np.append(1.0, maxima)
    regime = rng.choice(len(odds), size=len(frame), p=odds / odds.sum())
    count = whole_number(joint_rows, "joint_rows", 0, DataError)
    together = generator(seed, "selection", 1).permutation(len(frame))[:count]
    kept = np.ones(len(frame))
    kept[together] = 0
    for k, weight in enumerate(weights):
        kept = kept * np.where(regime == k + 1, 1.0, weight / weight.max())
    order = rng.permutation(np.flatnonzero(rng.random(len(frame)) < kept))
    chosen = [order[regime[order] == r][:rows] for r in range(len(odds))]
    labels = [OBSERVATIONAL, *names]
    for label, own in zip(labels, chosen, strict=True):
        if len(own) < wanted:
            raise DataError(
                f"the table yields {len(own)} rows of the regime {label!r}, fewer than {wanted}; "
                "lower strength or rows, choose fewer actions, or give a larger table"
            )
    if len(together):
        labels, chosen = [*labels, SEPARATOR.join(names)], [*chosen, together]
    table = frame[[*names, outcome]].iloc[np.concatenate(chosen)].reset_index(drop=True)
    table[REGIME] = np.repeat(labels, [len(own) for own in chosen])
    joint = _joint_effect(frame, names, hidden, frame[outcome].to_numpy(np.float64), ranks)
    return Dataset(table, joint, names, outcome)


def _names(
    frame: pd.DataFrame, actions: Sequence[str], causes: Sequence[str], outcome: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Validate the columns; the names of actions and causes."""
    instance(frame, pd.DataFrame, "frame", "pandas.DataFrame", DataError)
    names = items(actions, "actions", "columns", DataError)
    hidden = items(causes, "causes", "columns", DataError)
    if not names or len(names) != len(hidden):
        raise DataError(
            "causes must have one column for each action; there are "
            f"{len(names)} actions and {len(hidden)} causes"
        )
    columns = [*names, *hidden, outcome]
    refuse_absent(columns, frame.columns.tolist())
    refuse_two_roles({"actions": names, "causes": hidden, "outcome": [outcome], "regime": [REGIME]})
    refuse_two_roles({"actions": names, "part of the joint answer": ["effect", "standard_error"]})
    for name in columns:
        if not isinstance(frame[name], pd.Series):
            raise DataError(f"the frame has two columns {name!r}; rename one of them")
        _check_cells(frame[name])
    if not pd.api.types.is_numeric_dtype(frame[outcome]):
        raise DataError(f"column {outcome!r} holds {frame[outcome].dtype}, not numbers; convert it")
    return names, hidden


def _check_cells(column: "pd.Series[Any]") -> None:
    """Refuse missing and infinite cells, those of other types, and columns that never vary."""
    name, dtype = column.name, column.dtype
    numeric = pd.api.types.is_numeric_dtype(dtype)
    if column.isna().any() or (numeric and np.isinf(column.to_numpy(np.float64)).any()):
        raise DataError(
            f"column {name!r} has missing or infinite cells; leave these rows out, such as with "
            f"frame.dropna(subset=[{name!r}])"
        )
    kind = pd.api.types.infer_dtype(column)
    if not numeric and kind not in ("string", "boolean", "categorical"):
        raise DataError(
            f"column {name!r} holds {kind} cells, neither numbers nor levels; convert them to "
            "numbers or text"
        )
    if column.nunique() < 2:
        raise DataError(f"column {name!r} never varies; choose another column")


def _ranks(column: "pd.Series[Any]") -> Array:
    """Ranks between 0 and 1, shape (n,); equal values have the mean of their ranks."""
    categorical = isinstance(column.dtype, pd.CategoricalDtype)
    order = column.cat.codes if categorical else column
    return np.asarray((order.rank() - 0.5) / len(order), dtype=np.float64)


def _classes(ranks: Array, maximum: int) -> tuple[Array, NDArray[np.intp]]:
    """Ranks of at most ``maximum`` classes of equal width, and the class of each row."""
    if len(np.unique(ranks)) > maximum:
        ranks = (np.floor(ranks * maximum) + 0.5) / maximum
    values, codes = np.unique(ranks, return_inverse=True)
    return values, codes


def _check_independent(ranks: dict[str, Array]) -> None:
    """Refuse columns that depend on each other, by chi-squared tests of all pairs."""
    codes = {name: _classes(own, TEST_CLASSES)[1] for name, own in ranks.items()}
    pairs = list(combinations(codes, 2))
    for one, other in pairs:
        p = chi2_contingency(pd.crosstab(codes[one], codes[other]), correction=False).pvalue
        if p < FALSE_ALARM / len(pairs):
            raise DataError(
                f"columns {one!r} and {other!r} depend on each other (p = {p:.2g}); choose columns "
                "that were set at random, independently of each other"
            )


def _weights(action: Array, cause: Array, strength: float, names: tuple[str, str]) -> Array:
    """Density ratio p(a | c) / p(a) of each row, shape (n,)."""
    a, rows = _classes(action, MAX_CLASSES)
    c, columns = _classes(cause, MAX_CLASSES)
    of_a, of_c = np.bincount(rows) / len(rows), np.bincount(columns) / len(columns)
    squared = (a[:, None] - c) ** 2 / 2
    # The closest value of the action has weight 1 before normalisation, whatever the precision.
    squared = squared - squared.min(axis=0)
    both = np.reshape(np.meshgrid(a, c, indexing="ij"), (2, -1))

    def ratio(precision: float) -> Array:
        density = np.exp(-precision * squared)
        return np.asarray(density / (of_a @ density))

    def excess(precision: float) -> float:
        joint = ratio(precision) * np.outer(of_a, of_c)
        covariance = np.cov(both, aweights=joint.ravel(), ddof=0)
        return float(covariance[0, 1] / np.sqrt(np.prod(np.diag(covariance))) - strength)

    if excess(MAX_PRECISION) < 0:
        largest = np.floor(100 * (excess(MAX_PRECISION) + strength)) / 100
        raise DataError(
            f"the ranks of {names[0]!r} and {names[1]!r} cannot have a correlation of {strength:g} "
            f"in the history; lower strength to at most {largest:g}"
        )
    return np.asarray(ratio(brentq(excess, 0.0, MAX_PRECISION))[rows, columns])


def _joint_effect(
    frame: pd.DataFrame,
    actions: Sequence[str],
    causes: Sequence[str],
    outcome: Array,
    ranks: dict[str, Array],
) -> pd.DataFrame:
    """Mean outcome at each joint setting, and its standard error, by regression on all rows."""
    levels = {name: _levels(frame[name], ranks[name]) for name in (*actions, *causes)}
    own = [levels[name] for name in actions]
    positions = [np.array(GRID) if values is None else values for values in own]
    count = np.prod([len(values) for values in positions])
    of_rows = np.column_stack([ranks[name] for name in actions])
    maximum = min(MAX_TERMS, len(frame) // ROWS_PER_TERM)
    if count > MAX_SETTINGS or _products(of_rows[:1], own).shape[1] > maximum:
        raise DataError(
            f"{len(frame)} rows are too few for the joint effect at {count} settings of "
            f"{quoted(actions)}; choose fewer actions or join levels"
        )
    # The row that is closest to each position of each action.
    closest = [
        np.abs(ranks[name][:, None] - values).argmin(axis=0)
        for name, values in zip(actions, positions, strict=True)
    ]
    rows = np.array(list(product(*closest)))
    matrix = _products(of_rows, own)
    if (np.count_nonzero(matrix, axis=0) < 2).any():
        raise DataError(
            f"some combinations of levels of {quoted(actions)} have fewer than two rows; "
            "choose fewer actions or join levels"
        )
    adjustment = [_functions(ranks[name], levels[name])[0][:, 1:] for name in causes]
    design = np.column_stack([matrix, *(part - part.mean(axis=0) for part in adjustment)])
    inverse = np.linalg.inv(design.T @ design)
    centre = outcome.mean()
    coefficients = inverse @ (design.T @ (outcome - centre))
    residuals = outcome - centre - design @ coefficients
    correction = len(design) / (len(design) - design.shape[1])
    covariance = inverse @ (design.T * residuals**2 @ design) @ inverse * correction
    settings = {
        name: frame[name].iloc[rows[:, k]].reset_index(drop=True) for k, name in enumerate(actions)
    }
    grid = _products(np.take_along_axis(of_rows, rows, axis=0), own)
    terms = grid.shape[1]
    variance = np.einsum("ij,jk,ik->i", grid, covariance[:terms, :terms], grid)
    return pd.DataFrame(settings).assign(
        effect=centre + grid @ coefficients[:terms], standard_error=np.sqrt(variance)
    )


def _levels(column: "pd.Series[Any]", ranks: Array) -> Array | None:
    """Ranks of the levels of a column; None for a scale."""
    values = np.unique(ranks)
    numeric = pd.api.types.is_numeric_dtype(column)
    return None if numeric and len(values) > MAX_LEVELS else values


def _functions(ranks: Array, levels: Array | None) -> tuple[Array, NDArray[np.int_]]:
    """Functions of one column, shape (n, functions), and the degree of each; levels have 0."""
    if levels is None:
        return np.asarray(legvander(2 * ranks - 1, DEGREE)), np.arange(DEGREE + 1)
    return np.equal.outer(ranks, levels).astype(np.float64), np.zeros(len(levels), dtype=int)


def _products(ranks: Array, levels: Sequence[Array | None]) -> Array:
    """Products of functions of all actions up to :data:`DEGREE`, for ranks of shape (n, K)."""
    matrix, degrees = np.ones((len(ranks), 1)), np.zeros(1, dtype=int)
    for own, values in zip(ranks.T, levels, strict=True):
        functions, more = _functions(own, values)
        degrees = np.add.outer(degrees, more).ravel()
        matrix = (matrix[:, :, None] * functions[:, None, :]).reshape(len(ranks), -1)
        matrix, degrees = matrix[:, degrees <= DEGREE], degrees[degrees <= DEGREE]
    return matrix
