"""Decisions from a posterior: best plans, contributions and planned experiments."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import xarray as xr

from bayes_intgen._random import Seed, takes_rng
from bayes_intgen.api.answers import Answers
from bayes_intgen.decide.decision import CAUTIOUS

# Methods import what decides: most questions to a saved fit are about effects.
if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayes_intgen.decide.best import Plan
    from bayes_intgen.decide.decision import Decision, Objective
    from bayes_intgen.decide.experiments import Experiment


class Decisions(Answers):
    """Methods of a posterior that choose plans, and plan the collection of rows."""

    def best(
        self,
        decision: "Decision",
        objective: "Objective" = CAUTIOUS,
        *,
        beyond_support: bool = False,
    ) -> "Plan":
        """Find the values of all actions with the best joint effect, or the largest profit.

        Parameters
        ----------
        decision : Decision
            Costs, budget, bounds, baseline, and the value of a unit of the outcome.
        objective : "mean", CVaR or Quantile
            Of the draws of the gain over the baseline, in E[Y | do(plan)], or in profit if the
            decision has a value. By default ``Quantile(0.05)``, the lower end of the 90% interval:
            plans chosen by it gain more than those chosen by the mean in random worlds.
        beyond_support : bool
            Whether to consider plans that the rows do not support.

        Returns
        -------
        Plan
            It prints as a few lines. Its gain and effect are corrected for the choice of the best
            of many plans; those of the same plan in :meth:`contrast` are not. It is the baseline
            where the mean of the corrected gain is not positive, whatever the objective: for a
            measure of risk the correction may take a chosen plan's below 0, that of the baseline.

        Raises
        ------
        ModelError
            On unknown actions, and if the budget or the support allows no plan.

        Warns
        -----
        SupportWarning
            If the baseline is not supported.

        Notes
        -----
        The objective need not be concave. The posterior mean is a sum over components of
        interacting actions (in a multiplicative model all actions form one): dynamic programming
        over a grid finds its global optimum there, and exchanges between actions refine it. For
        a measure of risk the grid has the mean less a multiple of the variance, which is repeated
        with the multiple that fits the plan found, a minorise-maximise algorithm.

        The correction is the optimism of the search for the best of noisy gains (Smith and Winkler,
        "The optimizer's curse", Management Science, 2006), in standard deviations of the gain. A
        parametric bootstrap shows it: by how much estimates that deviate from a truth as draws do
        from the posterior mean overrate their own best plans. The truth is the posterior mean times
        a factor below one, since errors have added to the mean's own best gain. Corrected in the
        same way, these estimates vary more than draws where no plan stands out, and the draws of
        the gain are spread by that ratio.

        Examples
        --------
        >>> plan = posterior.best(bi.Decision(cost={"red": 1.0, "green": 1.0}, budget=1.0))
        >>> plan.cost <= 1.0 and plan.probability_better > 0.9
        True
        """
        from bayes_intgen.decide.best import best_plan, search_of

        return best_plan(self, search_of(self, decision, objective, beyond_support))

    def frontier(
        self,
        decision: "Decision",
        budgets: Sequence[float],
        objective: "Objective" = CAUTIOUS,
        *,
        level: float = 0.9,
        beyond_support: bool = False,
    ) -> xr.Dataset:
        """Find the best plan of each of several budgets.

        Parameters
        ----------
        decision : Decision
            Its own budget is ignored.
        budgets : sequence of float
        level : float
            Probability of the intervals of the gain.
        objective, beyond_support
            As in :meth:`best`.

        Returns
        -------
        Dataset, dims (budget, action)
            ``plan`` (budget, action); and per budget ``value``, the objective, ``cost``,
            ``effect``, the mean joint effect, ``gain`` over the baseline, of profit if the decision
            has a value, with ``gain_low`` and ``gain_high``, and ``probability_better``, all less
            ``optimism``, as in :meth:`best`, and its ``remarks``, in lines.

        Raises
        ------
        ModelError
            As :meth:`best`.

        Examples
        --------
        >>> decision = bi.Decision({"red": 1.0, "green": 1.0}, bounds={"red": (-1, 1)})
        >>> bool((posterior.frontier(decision, [0.0, 0.5, 1.0]).value.diff("budget") > 0).all())
        True
        """
        from bayes_intgen.decide.best import frontier

        return frontier(self, decision, budgets, objective, level, beyond_support)

    def cheapest(
        self,
        decision: "Decision",
        target: float,
        objective: "Objective" = "mean",
        *,
        beyond_support: bool = False,
    ) -> "Plan":
        """Find the cheapest plan whose objective reaches a target.

        Parameters
        ----------
        decision : Decision
        target : float
            In the outcome's units, or a profit if the decision has a value.
        objective : "mean", CVaR or Quantile
            Of the draws of E[Y | do(plan)] or of the profit, less the plan's optimism.
        beyond_support
            As in :meth:`best`.

        Returns
        -------
        Plan
            Its budget is its cost.

        Raises
        ------
        ModelError
            As :meth:`best`, without costs, and if no plan reaches the target.

        Warns
        -----
        SupportWarning
            If the baseline is not supported, and on the level as :meth:`joint_effect`.

        Notes
        -----
        Brent's method for the budget whose best plan, or the baseline where its objective is as
        high, has the target. A larger budget may have a lower value: more plans have more optimism.

        Examples
        --------
        >>> plan = posterior.cheapest(bi.Decision(cost={"red": 1.0, "green": 1.0}), target=0.5)
        >>> abs(plan.value - 0.5) < 0.01
        True
        """
        from bayes_intgen.decide.best import cheapest_plan, search_of

        search = search_of(self, decision, objective, beyond_support, of_level=True)
        return cheapest_plan(self, search, target)

    def contributions(
        self, decision: "Decision | None" = None, *, level: float = 0.9
    ) -> xr.Dataset:
        """Compute what each action brings at the baseline, and what its next unit would bring.

        Parameters
        ----------
        decision : Decision, optional
            Its baseline, costs and value; bounds and budget are ignored.
        level : float
            Probability of the intervals.

        Returns
        -------
        Dataset, dims (action)
            ``contribution``: joint effect of the baseline minus that with the action at
            ``reference``, which is zero where that is supported, otherwise the lowest supported
            value, or the first level. ``next_unit``: the :meth:`slope` at the baseline; NaN for
            levels. ``next_cost``: that per unit of cost, times the value if the decision has one,
            so that the next unit pays where it is above 1; NaN without a cost per unit. Each has
            columns ``_low`` and ``_high``; ``supported`` is about the contribution, and
            ``next_supported`` about the next unit.

        Raises
        ------
        ModelError
            On unknown actions, and bad costs.

        Warns
        -----
        SupportWarning
            As :meth:`contrast`.

        Notes
        -----
        Contributions need not add up to the effect of all actions where these interact.

        Examples
        --------
        >>> table = posterior.contributions(bi.Decision(cost={"red": 2.0}))
        >>> float(table.next_cost.sel(action="red") / table.next_unit.sel(action="red"))
        0.5
        """
        from bayes_intgen.decide.contributions import contributions
        from bayes_intgen.decide.decision import Decision

        return contributions(self, Decision() if decision is None else decision, level)

    def plot_contributions(
        self, decision: "Decision | None" = None, *, level: float = 0.9
    ) -> "Figure":
        """Plot :meth:`Posterior.contributions`: what each action brings, and its next unit.

        Parameters
        ----------
        decision, level
            As in :meth:`contributions`. With costs the next unit is one of cost.

        Returns
        -------
        matplotlib Figure

        Examples
        --------
        >>> len(posterior.plot_contributions().axes)
        2
        """
        from bayes_intgen.plots.effect import plot_contributions

        return plot_contributions(self.contributions(decision, level=level))

    @takes_rng
    def experiments(
        self,
        decision: "Decision",
        experiments: "Sequence[Experiment] | None" = None,
        *,
        rows: int | None = None,
        horizon: float = 1.0,
        level: float = 0.9,
        beyond_support: bool = False,
        seed: Seed = 0,
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
        Bayes linear update of the covariance of the draws by the design matrix of planned rows
        (docs/explanation/method.md). Hyperparameters count as uncertain coefficients do. The noise
        variance is that of the fit at the planned values and mask. Covariates and groups of planned
        rows are drawn from the population of the fit, whatever population is asked about.

        Examples
        --------
        >>> decision = bi.Decision(cost={"red": 1.0, "green": 1.0}, budget=1.0)
        >>> table = posterior.experiments(decision, rows=100)
        >>> bool((table.width_after <= table.width_before).all())
        True
        """
        from bayes_intgen.decide.experiments import experiment_values

        return experiment_values(
            self, decision, experiments, rows, horizon, level, beyond_support, seed
        )

    @takes_rng
    def split(
        self,
        rows: int,
        target: Any,
        *,
        costs: Mapping[str, float] | None = None,
        regimes: Sequence[str | Sequence[str] | None] | None = None,
        level: float = 0.9,
        beyond_support: bool = False,
        seed: Seed = 0,
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
            Where the target is not supported.
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
        from bayes_intgen.decide.split import split

        return split(
            self, rows, target, costs=costs, regimes=regimes, level=level, seed=seed,
            beyond_support=beyond_support,
        )  # fmt: skip

    @takes_rng
    def rows_for(
        self,
        width: float,
        target: Any,
        *,
        costs: Mapping[str, float] | None = None,
        regimes: Sequence[str | Sequence[str] | None] | None = None,
        level: float = 0.9,
        beyond_support: bool = False,
        seed: Seed = 0,
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
        from bayes_intgen.decide.split import rows_for

        return rows_for(
            self, width, target, costs=costs, regimes=regimes, level=level, seed=seed,
            beyond_support=beyond_support,
        )  # fmt: skip
