"""The default fit as a scikit-learn regressor: needs the extra ``sklearn``."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_intgen.bases import Array
from bayes_intgen.errors import DataError
from bayes_intgen.identification import masks_of
from bayes_intgen.inference import fit
from bayes_intgen.models import Model, additive
from bayes_intgen.models.base import Prior
from bayes_intgen.regimes import RegimeData

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.metrics import r2_score
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("scikit-learn is missing: pip install 'bayes-intgen[sklearn]'") from error


class JointEffectRegressor(RegressorMixin, BaseEstimator):
    """Posterior means of the outcome, with actions set or observed, behind ``fit`` and ``predict``.

    X holds the actions, a column each. Which of them were set in a row is no property of X but of
    how the row came about: ``intervened``, a mask of the shape of X, is metadata, which pipelines
    and searches pass on where routing is enabled and ``set_fit_request(intervened=True)``,
    ``set_predict_request`` and ``set_score_request`` ask for it.

    Parameters
    ----------
    prior : {"gp", "spline", "polynomial", "linear"} or a mechanism
    graph : mapping from action to its parents, optional
        Actions go by the names of X's columns, or ``a1``, ``a2``, ... where it has none.
    model : Model, optional
        In place of ``additive(prior, graph)``.
    chains, draws, warmup : int
        As of :func:`bayes_intgen.fit`.
    random_state : int or None
        The seed; None for 0, so that the same fit gives the same draws.

    Attributes
    ----------
    posterior_ : Posterior
        Everything else: draws, mechanisms, bands, diagnostics.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X had names.

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
            The outcome.
        intervened : array_like of bool, shape (N, K), optional
            True where an action was set. Left out, nothing was: this is then a plain regression,
            and effects of setting actions are not identified.

        Raises
        ------
        DataError, ModelError
            As :func:`bayes_intgen.fit`; ValueError as scikit-learn's validation.
        """
        values, outcome = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2
        )
        if self.random_state is not None and not isinstance(self.random_state, Integral):
            raise DataError(
                f"random_state must be a whole number or None, not {self.random_state!r}: draws "
                "follow from it alone"
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
        # What a prediction asks for where it does not say.
        self._asks_joint = bool(data.intervened.any())
        return self

    def predict(
        self,
        X: ArrayLike,  # noqa: N803
        intervened: ArrayLike | None = None,
        return_std: bool = False,
    ) -> Array | tuple[Array, Array]:
        """Posterior means of E[Y | a, R].

        Parameters
        ----------
        X : array_like or data frame, shape (M, K)
            Values of all actions, whether set or observed.
        intervened : array_like of bool, shape (M, K) or (K,), optional
            The mask R: which of them are set, row by row or in all rows. Left out, all are: the
            joint effect; or none, where no row of the fit had one set.
        return_std : bool
            Whether to give standard deviations of the posterior of the mean too.

        Returns
        -------
        mean : ndarray, shape (M,)
        std : ndarray, shape (M,)
            Only with ``return_std``.

        Raises
        ------
        DataError
            Where the mask has another shape.

        Warns
        -----
        SupportWarning
            Where the regimes of the fit do not identify what is asked, or X is out of their range.
        """
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False)
        masks = self._masks(values, intervened)
        mean, std = np.empty(len(values)), np.empty(len(values))
        distinct, which = masks_of(masks)
        for i, mask in enumerate(distinct):
            own = which == i
            names = [n for n, was_set in zip(self.posterior_.actions, mask, strict=True) if was_set]
            draws = self.posterior_.effect(values[own], names)
            mean[own], std[own] = draws.mean(("chain", "draw")), draws.std(("chain", "draw"))
        return (mean, std) if return_std else mean

    def score(
        self,
        X: ArrayLike,  # noqa: N803
        y: ArrayLike,
        intervened: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """R^2 of outcomes against their means, with what was set in each row."""
        predicted = self.predict(X, intervened)
        return float(r2_score(y, predicted, sample_weight=sample_weight))

    def _masks(self, values: Array, intervened: ArrayLike | None) -> NDArray[np.bool_]:
        masks = np.asarray(self._asks_joint if intervened is None else intervened)
        if masks.dtype != np.bool_ and not np.isin(masks, (0, 1)).all():
            raise DataError("intervened must hold booleans: True where an action is set")
        try:
            return np.broadcast_to(masks.astype(np.bool_), values.shape)
        except ValueError as error:
            raise DataError(
                f"intervened must have shape {values.shape} or ({values.shape[1]},), "
                f"not {masks.shape}"
            ) from error
