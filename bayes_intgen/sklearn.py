"""Scikit-learn regressor around the default fit; needs the extra ``sklearn``."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from numbers import Integral
from typing import Any, Literal, Self

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayes_intgen._typing import Array
from bayes_intgen.api.fitting import fit
from bayes_intgen.api.posterior import Posterior
from bayes_intgen.data.arrays import masks_in_order
from bayes_intgen.data.covariates import NEW_GROUP, group_label
from bayes_intgen.data.missing import missing_in
from bayes_intgen.data.queries import checked_points
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.data.tables import as_table, column_of, numeric_column
from bayes_intgen.decide.contrasts import LEVEL
from bayes_intgen.decide.estimates import NewRows, Question, Request, estimates
from bayes_intgen.errors import DataError, DataWarning, SupportWarning, warn
from bayes_intgen.identification.regimes import masks_of
from bayes_intgen.inference.settings import Method
from bayes_intgen.models import Model, additive
from bayes_intgen.models.specification import Prior
from bayes_intgen.posterior.population import asked_for
from bayes_intgen.text.messages import quoted

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.metrics import r2_score
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ImportError as error:
    raise ImportError("scikit-learn is missing: pip install 'bayes-intgen[sklearn]'") from error


class JointEffectRegressor(RegressorMixin, BaseEstimator):
    """Regressor of the outcome on intervened or observed actions, by posterior means.

    X has one column per action, and the columns of ``covariates`` and ``groups``. Which actions
    were intervened on in each row is metadata: the mask ``intervened``, with a column per action.
    Pipelines and searches pass it on if metadata routing is enabled and requested by
    ``set_fit_request(intervened=True)``, ``set_predict_request`` and ``set_score_request``.

    Parameters
    ----------
    prior : {"gp", "spline", "polynomial", "linear"} or a mechanism
    graph : mapping from action to its parents, "any", optional
        As in :func:`bayes_intgen.models.additive`. Action names are the column names of X, by
        default ``a1``, ``a2``, ...
    covariates, groups : sequence of str or int
        Columns of X that are no actions, by name, or by position (named ``x3`` then): observed
        causes of the outcome, and labels of units whose rows belong together. They may be text.
        Predictions are for the covariates and groups of each row of X; a group that the fit had
        not has the spread between groups in its standard deviation. Levels of more than 64 groups
        are integrated out: predictions for known ones are those for an average group.
    model : Model, optional
        Replaces ``additive(prior, graph)``.
    method : {"laplace", "nuts"}
        By default a Laplace approximation: searches and cross-validation fit many times.
    chains, draws, warmup : int
        As in :func:`bayes_intgen.fit`.
    random_state : int or None
        Seed; None means 0, so that repeated fits give the same draws.

    Attributes
    ----------
    posterior_ : Posterior
        The fit, with draws, mechanisms, intervals and diagnostics.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Defined only if X has column names.

    Examples
    --------
    >>> regressor = JointEffectRegressor(draws=50)
    >>> regressor = regressor.fit(data.actions, data.outcome, intervened=data.intervened)
    >>> regressor.predict([[0.1, 0.2]]).shape
    (1,)
    """

    def __init__(
        self,
        prior: Prior = "gp",
        graph: Mapping[str, Sequence[str] | None] | Literal["any"] | None = None,
        *,
        covariates: Sequence[str | int] = (),
        groups: Sequence[str | int] = (),
        model: Model | None = None,
        method: Method = "laplace",
        chains: int = 4,
        draws: int | None = None,
        warmup: int = 75,
        random_state: int | None = None,
    ) -> None:
        self.prior = prior
        self.graph = graph
        self.covariates = covariates
        self.groups = groups
        self.model = model
        self.method = method
        self.chains = chains
        self.draws = draws
        self.warmup = warmup
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,  # noqa: N803
        y: ArrayLike,
        intervened: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        unit: ArrayLike | None = None,
        time: ArrayLike | None = None,
    ) -> Self:
        """Sample the posterior.

        Parameters
        ----------
        X : array_like or data frame, shape (N, K + C + G)
            Values of the actions, covariates and groups.
        y : array_like, shape (N,)
            Outcomes.
        intervened : array_like of bool, shape (N, K), optional
            True for an intervened action. By default all rows are observational: a plain
            regression, under which effects of interventions are not identified.
        weights : array_like, shape (N,), optional
            Number of units of which each row is the mean.
        unit, time : array_like, shape (N,), optional
            Unit, such as a region, whose rows follow each other, and the time by which they do.

        Raises
        ------
        DataError, ModelError
            As in :func:`bayes_intgen.fit`; ValueError from scikit-learn's validation.
        """
        if self._adjusts:
            validate_data(self, X, skip_check_array=True)
            values, others = self._split(X)
            outcome = column_or_1d(y)
        else:
            _refuse_text(X)
            values, outcome = validate_data(
                self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2
            )
            others = {}
        names = getattr(self, "feature_names_in_", None)
        covariates, groups = self._names(self.covariates), self._names(self.groups)
        if self.random_state is not None and not isinstance(self.random_state, Integral):
            raise DataError(
                f"random_state must be a whole number or None, not {self.random_state!r}, "
                "because it determines the draws"
            )
        masks = np.zeros(values.shape, dtype=bool) if intervened is None else intervened
        data = RegimeData.from_arrays(
            values,
            outcome,
            masks,
            None if names is None else [name for name in names if name not in others],
            covariates={name: others[name] for name in covariates},
            groups={name: others[name] for name in groups},
            weights=weights,
            unit=unit,
            time=time,
            require_observational=False,
        )
        self.posterior_ = fit(
            data,
            additive(self.prior, self.graph) if self.model is None else self.model,
            method=self.method,
            seed=int(self.random_state or 0),
            chains=self.chains,
            draws=self.draws,
            warmup=self.warmup,
            progress=False,
        )
        # Predictions without a mask are joint effects if any row of the fit was intervened on.
        self._predicts_joint = bool(data.intervened.any())
        self._has_free_actions = not data.intervened.all()
        return self

    def predict(
        self,
        X: ArrayLike,  # noqa: N803
        intervened: ArrayLike | None = None,
        return_std: bool = False,
    ) -> Array | tuple[Array, Array]:
        """Predict by the posterior mean of E[Y | a, R].

        Parameters
        ----------
        X : array_like or data frame, shape (M, K + C + G)
            Values of all actions, intervened or observed, and of covariates and groups.
        intervened : array_like of bool, shape (M, K) or (K,), optional
            The mask R, per row or for all rows. By default all actions are intervened (the joint
            effect), or none if the fit had observational rows only.
        return_std : bool
            Whether to return posterior standard deviations of the mean too.

        Returns
        -------
        mean : ndarray, shape (M,)
        std : ndarray, shape (M,)
            Only with ``return_std``.

        Raises
        ------
        DataError, PointsError
            For a mask of another shape, or missing cells.

        Warns
        -----
        SupportWarning
            Where the regimes of the fit do not identify the prediction, or X is out of their range.
        """
        check_is_fitted(self)
        if self._adjusts:
            validate_data(self, X, reset=False, skip_check_array=True)
            values, others = self._split(X)
            values = checked_points(values, self.posterior_.actions)
        else:
            values, others = validate_data(self, X, dtype=np.float64, reset=False), {}
        mean, std = np.empty(len(values)), np.empty(len(values))
        distinct, which = masks_of(self._masks(values, intervened))
        for i, mask in enumerate(distinct):
            rows = which == i
            names = list(compress(self.posterior_.actions, mask))
            if others:
                own = {name: column[rows] for name, column in others.items()}
                draws = _effect_in_rows(self.posterior_, values[rows], names, own)
            else:
                draws = self.posterior_.effect(values[rows], names).to_numpy()
            mean[rows], std[rows] = draws.mean(axis=(0, 1)), draws.std(axis=(0, 1))
        return (mean, std) if return_std else mean

    def score(
        self,
        X: ArrayLike,  # noqa: N803
        y: ArrayLike,
        intervened: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """R^2 of the predictions under each row's mask.

        Warns
        -----
        DataWarning
            Where ``intervened`` is missing, as it is in searches without metadata routing, though
            the rows of the fit differ in what was set.
        """
        check_is_fitted(self)
        if intervened is None and self._predicts_joint and self._has_free_actions:
            warn(
                "rows are scored as if every action had been set in them; pass intervened, in "
                "searches with sklearn.set_config(enable_metadata_routing=True)",
                DataWarning,
            )
        with warnings.catch_warnings():
            # Of rows as they are: the score shows how well they are predicted.
            warnings.simplefilter("ignore", SupportWarning)
            predictions = self.predict(X, intervened)
        return float(r2_score(y, predictions, sample_weight=sample_weight))

    @property
    def _adjusts(self) -> bool:
        return len(self.covariates) + len(self.groups) > 0

    def _names(self, columns: Sequence[str | int]) -> Iterator[str]:
        """Names of columns of X."""
        positions = [f"x{i}" for i in range(self.n_features_in_)]
        own = getattr(self, "feature_names_in_", positions)
        for column in columns:
            places = own if isinstance(column, str) else range(len(own))
            if isinstance(column, bool | np.bool_) or column not in places:
                raise DataError(f"X has no column {column!r}; its columns are {quoted(own)}")
            yield str(column if isinstance(column, str) else own[column])

    def _split(self, X: ArrayLike) -> tuple[Array, dict[str, Any]]:  # noqa: N803
        """Actions as numbers, shape (N, K), and columns of covariates and groups by name."""
        every, table = [*self._names(range(self.n_features_in_))], as_table(X)
        if table is None:
            cells = map(column_of, np.asarray(X, dtype=object).T)
            columns = pd.DataFrame(dict(zip(every, cells, strict=True)))
            table = nw.from_native(columns, eager_only=True)
        elif hasattr(self, "feature_names_in_"):
            # By name: scikit-learn checks the order of columns of some kinds of tables only.
            table = table.select(every)
        else:
            table = table.rename(dict(zip(table.columns, every, strict=True)))
        names = [*self._names([*self.covariates, *self.groups])]
        actions = [name for name in every if name not in names]
        if not actions:
            raise DataError("X has no column left for the actions; name fewer covariates or groups")
        others = {name: column_of(table[name].to_native()) for name in names}
        return np.column_stack([_numbers(table, name) for name in actions]), others

    def _masks(self, values: Array, intervened: ArrayLike | None) -> NDArray[np.bool_]:
        named = hasattr(self, "feature_names_in_")
        given: ArrayLike = self._predicts_joint if intervened is None else intervened
        masks = np.asarray(masks_in_order(given, self.posterior_.actions if named else None))
        if masks.dtype != np.bool_ and not np.isin(masks, (0, 1)).all():
            raise DataError("intervened must hold booleans: True for an intervened action")
        try:
            return np.broadcast_to(masks.astype(np.bool_), values.shape)
        except ValueError as error:
            raise DataError(
                f"intervened must have shape {values.shape} or ({values.shape[1]},), "
                f"not {masks.shape}"
            ) from error


def _refuse_text(X: ArrayLike) -> None:  # noqa: N803
    """Raise DataError if a column of a table holds no numbers."""
    if (table := as_table(X)) is not None:
        for name in table.columns:
            _numbers(table, name)


def _numbers(table: nw.DataFrame[Any], column: str) -> Array:
    """Numbers of a column, shape (n,), NaN where they are missing."""
    try:
        return numeric_column(table, column, DataError)
    except DataError as error:
        raise DataError(
            f"column {column!r} of X holds no numbers; encode levels first, such as with "
            "OrdinalEncoder, or read them with bi.RegimeData.from_frame"
        ) from error


def _effect_in_rows(
    posterior: Posterior, values: Array, intervened: Sequence[str], others: dict[str, Any]
) -> Array:
    """Draws of E[Y | a, x, g, R] at rows with their own covariates and groups, (chain, draw, n)."""
    columns = posterior.terms.covariates
    frame, averaged, fine = pd.DataFrame(others), np.zeros(len(values), dtype=bool), list[str]()
    for name, labels in zip(columns.groups, map(set, columns.labels), strict=True):
        known = np.array([group_label(cell) in labels for cell in others[name]])
        new = ~known & ~missing_in(others[name])
        frame[name] = np.where(new, NEW_GROUP, others[name].astype(object))
        if name not in asked_for(columns):
            averaged, fine = known, [name]
    draws = np.empty((*posterior.tree["posterior"]["noise_sd"].shape, len(values)))
    for rows, left_out in ((~averaged, []), (averaged, fine)):
        if rows.any():
            own = NewRows(frame[rows].drop(columns=left_out), values[rows], "pandas")
            question = Question(own, [Request({}, (own.values,))], LEVEL)
            draws[..., rows] = estimates(posterior, question, None, intervened).draws
    return draws
