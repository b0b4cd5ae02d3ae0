"""Planned experiments from a posterior: their value, the split of their rows, and their number."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import xarray as xr

from bayes_intgen.api.decisions import Decisions

if TYPE_CHECKING:
    from bayes_intgen.decide.decision import Decision
    from bayes_intgen.decide.experiments import Experiment


class Experiments(Decisions):
    """Methods of a posterior that plan the collection of rows."""

    def experiments(
        self,
        decision: "Decision",
        experiments: "Sequence[Experiment] | None" = None,
        *,
        rows: int | None = None,
        horizon: float = 1.0,
        level: float = 0.9,
        beyond_support: bool = False,
        seed: int = 0,
    ) -> xr.Dataset:
        """Rank experiments by their value for a decision, without a refit.

        Parameters
        ----------
        decision : Decision
            Its best plan is that of :meth:`best` for the mean.
        experiments : sequence of Experiment, optional
            By default each action alone, all together, and more history.
        rows : int, optional
            Rows of each default experiment; by default as many as a regime of the data has on
            average.
        horizon : float
            Number of units to which the plan will apply, where the outcome is that of one unit.
        level : float
            Probability of the intervals.
        beyond_support
            As in :meth:`best`. All plans are considered where the rows support none, as before
            the first experiment on an action.
        seed : int
            Seed of the planned rows and of the posterior means after them.

        Returns
        -------
        Dataset, dims (experiment)
            In descending order of ``net_benefit``: ``horizon`` times ``evsi``, minus ``cost``.
            ``evsi``, the expected value of sample information, is the expected gain from choosing
            the plan after the experiment instead of now; ``evsi_error`` is its Monte Carlo
            standard error, and ``evpi``, without dims, the expected value of perfect information.
            ``width_before`` and ``width_after``: width of the central interval of the gain of the
            present best plan over the baseline, now and, as expected, after the experiment.
            ``rows``, ``others``, the origin of the values of actions that are not set, and
            ``explanation``, a sentence. The attributes name the plan and the baseline.

        Raises
        ------
        ModelError
            On bad experiments, unknown actions, and as :meth:`best`.

        Warns
        -----
        SupportWarning
            If the baseline is not supported, or an experiment sets values outside the observed
            range.
        SamplingWarning
            If there are too few draws for the widths after the planned rows.

        Notes
        -----
        Bayes linear update of the covariance of the draws by the design matrix of planned rows;
        :mod:`bayes_intgen.decide.belief` has the formulas. Hyperparameters count as uncertain
        coefficients do. The noise variance is that of the fit at the planned values and mask, and
        covariates and groups are at their averages.

        Examples
        --------
        >>> decision = bi.Decision(cost={"red": 1.0, "green": 1.0}, budget=1.0)
        >>> table = posterior.experiments(decision, rows=100)
        >>> bool((table.width_after <= table.width_before).all())
        True
        """
        from bayes_intgen.decide.experiments import experiment_values

        return experiment_values(
            self, decision, experiments, rows=rows, horizon=horizon, level=level, seed=seed,
            beyond_support=beyond_support,
        )  # fmt: skip

    def split(
        self,
        rows: int,
        target: Any,
        *,
        costs: Mapping[str, float] | None = None,
        regimes: Sequence[str | Sequence[str] | None] | None = None,
        level: float = 0.9,
        beyond_support: bool = False,
        seed: int = 0,
    ) -> xr.Dataset:
        """Split further rows over regimes so that joint effects become as precise as possible.

        Parameters
        ----------
        rows : int
            Number of further rows in all. With costs: that of rows at a cost of 1 that would cost
            as much.
        target : Decision, or points as in :meth:`joint_effect`
            The mean posterior variance of the joint effects at the points is minimised; of a
            decision that of the gains over the baseline, of plans that may turn out best.
        costs : mapping from label of a regime to float, optional
            Cost of a row, such as ``{"do(red)": 3.0}``; 1 by default.
        regimes : sequence, optional
            Actions that are set in each regime: a name, several, or None for more history. By
            default the regimes of the data, each action alone, all together, and history.
        level : float
            Probability of the intervals.
        beyond_support
            As in :meth:`experiments`.
        seed : int
            Seed of the planned rows.

        Returns
        -------
        Dataset, dims (regime, total)
            Per regime ``share`` of the further rows, ``rows``, ``cost`` and ``others``, as in
            :meth:`experiments`. ``width``: expected mean width of the targets' intervals, with
            ``width_before`` and ``width_of_equal_split`` for comparison. ``width_of_total``: the
            same with the best split of each ``total``.

        Raises
        ------
        ModelError
            On fewer than one row, unknown actions or regimes, and costs that are not positive.
        PointsError
            As :meth:`joint_effect`.

        Warns
        -----
        SupportWarning
            As :meth:`joint_effect`.
        SamplingWarning
            As :meth:`experiments`.

        Notes
        -----
        Bayesian A-optimal design (Chaloner and Verdinelli 1995): the mean variance is convex in
        the shares. The posterior of the present rows takes the place of the prior, so that the
        split is that of the further rows.

        Examples
        --------
        >>> table = posterior.split(1000, {"red": [0.0, 0.5], "green": [0.5, 0.0]})
        >>> int(table.rows.sum())
        1000
        """
        from bayes_intgen.decide.split import PlannedSplit

        return PlannedSplit.of(
            self, target, costs=costs, regimes=regimes, level=level, seed=seed,
            beyond_support=beyond_support,
        ).best(rows)  # fmt: skip

    def rows_for(
        self,
        width: float,
        target: Any,
        *,
        costs: Mapping[str, float] | None = None,
        regimes: Sequence[str | Sequence[str] | None] | None = None,
        level: float = 0.9,
        beyond_support: bool = False,
        seed: int = 0,
    ) -> int:
        """Count the further rows that narrow intervals to a width, in the best split.

        Parameters
        ----------
        width : float
            Mean width of the targets' intervals, in the outcome's units.
        target, costs, regimes, level, beyond_support, seed
            As in :meth:`split`.

        Returns
        -------
        int
            Number of rows for :meth:`split`; 0 if the intervals are narrow enough.

        Raises
        ------
        ModelError
            As :meth:`split`, and if no number of rows reaches the width.

        Examples
        --------
        >>> points = {"red": [0.0, 0.5], "green": [0.5, 0.0]}
        >>> width = float(posterior.split(1000, points).width)
        >>> abs(posterior.rows_for(width, points) - 1000) < 20
        True
        """
        from bayes_intgen.decide.split import PlannedSplit

        return PlannedSplit.of(
            self, target, costs=costs, regimes=regimes, level=level, seed=seed,
            beyond_support=beyond_support,
        ).rows_for(width)  # fmt: skip
