"""Scikit-learn regressor around the default fit; needs the extra ``sklearn``."""

from collections.abc import Mapping, Sequence
from itertools import compress
from numbers import Integral
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_intgen._typing import Array
from bayes_intgen.api.fitting import fit
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.errors import DataError
from bayes_intgen.identification.masks import masks_of
from bayes_intgen.models import Model, additive
from bayes_intgen.models.base import Prior

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.metrics import r2_score
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("scikit-learn is missing: pip install 'bayes-intgen[sklearn]'") from error


class JointEffectRegressor(RegressorMixin, BaseEstimator):
    """Regressor of the outcome on intervened or observed actions, by posterior means.

    X has one column per action. Which actions were intervened on in each row is metadata: the mask
    ``intervened``, of the shape of X. Pipelines and searches pass it on if metadata routing is
    enabled and requested by ``set_fit_request(intervened=True)``, ``set_predict_request`` and
    ``set_score_request``.

    Parameters
    ----------
    prior : {"gp", "spline", "polynomial", "linear"} or a mechanism
    graph : mapping from action to its parents, optional
        Action names are the column names of X, by default ``a1``, ``a2``, ...
    model : Model, optional
        Replaces ``additive(prior, graph)``.
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
        graph: Mapping[str, Sequence[str]] | None = None,
        *,
        model: Model | None = None,
        chains: int = 4,
        draws: int | None = None,
        warmup: int = 100,
        random_state: int | None = None,
    ) -> None:
        self.prior = prior
        self.graph = graph
        self.model = model
        self.chains = chains
        self.draws = draws
        self.warmup = warmup
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, intervened: ArrayLike | None = None) -> Self:  # noqa: N803
        """Sample the posterior.

        Parameters
        ----------
        X : array_like or data frame, shape (N, K)
            Values of the actions.
        y : array_like, shape (N,)
            Outcomes.
        intervened : array_like of bool, shape (N, K), optional
            True for an intervened action. By default all rows are observational: a plain
            regression, under which effects of interventions are not identified.

        Raises
        ------
        DataError, ModelError
            As in :func:`bayes_intgen.fit`; ValueError from scikit-learn's validation.
        """
        values, outcome = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2
        )
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
            getattr(self, "feature_names_in_", None),
            require_observational=False,
        )
        self.posterior_ = fit(
            data,
            additive(self.prior, self.graph) if self.model is None else self.model,
            seed=int(self.random_state or 0),
            chains=self.chains,
            draws=self.draws,
            warmup=self.warmup,
            progress=False,
        )
        # Predictions without a mask are joint effects if any row of the fit was intervened on.
        self._predicts_joint = bool(data.intervened.any())
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
        X : array_like or data frame, shape (M, K)
            Values of all actions, intervened or observed.
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
        DataError
            For a mask of another shape.

        Warns
        -----
        SupportWarning
            Where the regimes of the fit do not identify the prediction, or X is out of their range.
        """
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False)
        masks = self._masks(values, intervened)
        mean, std = np.empty(len(values)), np.empty(len(values))
        distinct, which = masks_of(masks)
        for i, mask in enumerate(distinct):
            rows = which == i
            names = list(compress(self.posterior_.actions, mask))
            draws = self.posterior_.effect(values[rows], names)
            mean[rows], std[rows] = draws.mean(("chain", "draw")), draws.std(("chain", "draw"))
        return (mean, std) if return_std else mean

    def score(
        self,
        X: ArrayLike,  # noqa: N803
        y: ArrayLike,
        intervened: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """R^2 of the predictions under each row's mask."""
        predictions = self.predict(X, intervened)
        return float(r2_score(y, predictions, sample_weight=sample_weight))

    def _masks(self, values: Array, intervened: ArrayLike | None) -> NDArray[np.bool_]:
        masks = np.asarray(self._predicts_joint if intervened is None else intervened)
        if masks.dtype != np.bool_ and not np.isin(masks, (0, 1)).all():
            raise DataError("intervened must hold booleans: True for an intervened action")
        try:
            return np.broadcast_to(masks.astype(np.bool_), values.shape)
        except ValueError as error:
            raise DataError(
                f"intervened must have shape {values.shape} or ({values.shape[1]},), "
                f"not {masks.shape}"
            ) from error
