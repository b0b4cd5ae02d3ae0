"""The class Posterior: results, plots, reports and files of a fit."""

import os
from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import xarray as xr

from bayes_intgen._arguments import instance, seed_number
from bayes_intgen._atomic import atomic_write
from bayes_intgen._random import Seed, takes_rng
from bayes_intgen.api.decisions import Decisions
from bayes_intgen.assess.contraction import contraction
from bayes_intgen.assess.sensitivity import sensitivity
from bayes_intgen.errors import DataError
from bayes_intgen.posterior.draws import support_of
from bayes_intgen.posterior.schema import with_groups

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayes_intgen.assess.checks import Check
    from bayes_intgen.assess.summary import Report
    from bayes_intgen.data.regime_data import RegimeData
    from bayes_intgen.decide.decision import Decision

    # Takes new rows, and whether to show progress.
    Refit = Callable[[RegimeData, bool], "Posterior"]


# ArviZ converts by class: with the group that it asks for, a posterior counts as its tree.
@xr.DataTree.register
class Posterior(Decisions):
    """Posterior of a fit, from :func:`bayes_intgen.fit` or :func:`bayes_intgen.load`.

    ``print`` shows regimes, certificates, support, checks and sampling on one screen. Functions of
    ArviZ that look at hyperparameters take it as it is, such as ``az.summary(posterior)``;
    :meth:`to_arviz` makes what the others need.

    Attributes
    ----------
    tree : DataTree
        All data of the posterior: groups ``posterior`` (hyperparameters and intercept),
        ``sample_stats`` and ``constant_data`` in ArviZ's schema, ``coefficients``, ``noise``,
        ``support`` (reference rows of each regime), ``population`` (covariates and groups), and
        ``fit``, with the model in its attributes.
    model : Model
    terms : Decomposition
    spread : VarianceFunction
        Estimate of the variance function of the noise; group ``noise`` has draws of it.
    """

    # The update of a fit whose rows are in memory.
    _refit: "Refit | None" = None

    @property
    def name(self) -> str | None:
        """Name of the tree."""
        return self.tree.name

    @property
    def posterior(self) -> xr.DataTree:
        """Draws of the hyperparameters and the intercept."""
        return self.tree.children["posterior"]

    @property
    def azstats(self) -> Any:
        """ArviZ's accessor of statistics, once ArviZ is imported."""
        return self.tree.azstats

    @property
    def children(self) -> Mapping[str, xr.DataTree]:
        """Groups of the tree, by their names."""
        return self.tree.children

    def get(self, group: str, default: Any = None) -> Any:
        """Group of the tree, or the default where there is none."""
        return self.tree.get(group, default)

    def __getitem__(self, group: str) -> xr.DataTree | xr.DataArray:
        """Group of the tree, or a variable by its path."""
        return self.tree[group]

    def __str__(self) -> str:
        return str(self._report())

    def _repr_html_(self) -> str:
        return self._report()._repr_html_()

    @takes_rng
    def contraction(
        self,
        points: Any,
        intervened: Sequence[str] | None = None,
        *,
        seed: Seed = 0,
    ) -> xr.Dataset:
        """Compute the widths of the posterior relative to those of the prior.

        Parameters
        ----------
        points : array_like, shape (M, K), or data frame with a column per action
        intervened : sequence of str, optional
            Actions that are set in the effect; all by default.
        seed : int
            Seed of the draws from the prior.

        Returns
        -------
        Dataset
            ``contraction`` (mechanism, action, point), for mechanisms ``unconfounded`` and
            ``confounded``, ``interaction_contraction`` (pair, point) if the fit has interactions,
            and ``effect_contraction`` (point): posterior width over prior width, one if the data
            are uninformative. ``prior``, ``posterior``, and the same with ``interaction_`` and
            ``effect_`` in front, are the widths, in the outcome's units: half of the central 68%
            interval, the standard deviation of a normal distribution. A plain regression has
            effects only. For a multiplicative model all are of the mean of the outcome's logarithm.

        Raises
        ------
        PointsError
            As :meth:`effect`.

        Warns
        -----
        SupportWarning
            As :meth:`effect`.

        Examples
        --------
        >>> bool((posterior.contraction([[0.1, 0.2]]).contraction < 0.5).all())
        True
        """
        return contraction(self, support_of(self).query(points, intervened), seed_number(seed))

    def sensitivity(
        self,
        points: Any,
        rho: float | Sequence[float] = 0.0,
        *,
        interaction: float = 0.0,
        level: float = 0.9,
    ) -> xr.Dataset:
        """Bound the change of the joint effect if hidden causes were correlated, or interacted.

        The bounds are for normal causes that one further cause correlates, and an outcome that is
        linear in them: ``bayes_intgen/assess/sensitivity.py`` derives them.

        Parameters
        ----------
        points : array_like, shape (M, K), or data frame with a column per action
        rho : float or sequence of float
            Largest correlations of any two hidden causes, from 0 to below 1; conditional on
            covariates and groups.
        interaction : float
            Size of interactions of two hidden causes: the standard deviation over observational
            rows of what they add to the mean, relative to the geometric mean of those of the
            biases of both actions. At 1 the causes matter together as much as alone.
        level : float
            Probability of the credible interval of the effect.

        Returns
        -------
        Dataset
            ``effect`` (point): the posterior mean. ``above`` and ``below`` (rho, point): bounds
            on its distance above and below the truth, averaged over draws. ``low`` and ``high``
            (rho, point): ends of the interval after moving each draw by its bound; at rho = 0 the
            credible interval of the effect. In the outcome's units.

        Raises
        ------
        PointsError
            As :meth:`effect`, and if ``rho`` is not a correlation, or ``interaction`` negative.
        ModelError
            If the model is a regression, or multiplicative.

        Warns
        -----
        SupportWarning
            As :meth:`effect`.

        Examples
        --------
        >>> moved = posterior.sensitivity([[0.1, 0.2]], [0, 0.2, 0.4])
        >>> bool((moved.high - moved.low).diff("rho").min() > 0)
        True
        """
        return sensitivity(self, support_of(self).query(points), rho, interaction, level)

    def report(
        self,
        path: "str | os.PathLike[str]",
        *,
        level: float = 0.9,
        decision: "Decision | None" = None,
    ) -> None:
        """Write an HTML report: the answer on a first page, then charts, an explorer and details.

        The report is a single file that needs neither a network nor this package. Its explorer has
        a slider for every action. It includes the check that :meth:`with_check` added. All answers
        are averages over the population asked about; see :meth:`given` and :meth:`over`.

        Parameters
        ----------
        path : path
        level : float
            Probability of the credible intervals.
        decision : Decision, optional
            Costs, limits and a budget: the report then has the best plans for a range of budgets,
            and what each action brings at the baseline, at which its sliders start.

        Raises
        ------
        ModelError, PointsError
            If the model is a regression, or ``level`` is not a probability; as :meth:`best`.

        Examples
        --------
        >>> posterior.report(folder / "report.html", decision=bi.Decision(cost={"red": 1.0}))
        """
        from bayes_intgen.report.page import page_of

        atomic_write(path, page_of(self, level, decision).encode())

    def save(self, path: "str | os.PathLike[str]") -> None:
        """Save the posterior to a netCDF file, which :func:`bayes_intgen.load` reads.

        The file is written atomically and ends with a checksum. xarray and ArviZ open it, too.

        Raises
        ------
        SavedFitError
            If the tree has groups or variables that no fit has.
        OSError
            If the disk is full, or the path is a folder, device, pipe or read-only file.

        Examples
        --------
        >>> posterior.save(folder / "fit.nc")
        """
        from bayes_intgen.posterior.storage import save_tree

        save_tree(self.tree, path)

    def update(self, new_rows: "RegimeData", *, progress: bool = True) -> "Posterior":
        """Fit the rows of this fit together with new ones, in a fraction of the time of a new fit.

        The sums of the new rows join those of the earlier ones, with the functions and the variance
        function of this fit. Once rows have grown by more than an eighth, or where new rows are
        unlike the earlier ones, these are estimated anew; see docs/how-to/data.md for the other
        cases. Draws are those of ``method="laplace"``, or of NUTS where Pareto k or the effective
        sample size says that importance weights do not suffice.

        Parameters
        ----------
        new_rows : RegimeData
            With the same columns. Levels and groups are matched by their labels; groups may be
            new, levels may not. Lift tests are added to those of the fit.
        progress : bool
            Whether to show progress on standard error.

        Returns
        -------
        Posterior
            It can be updated again. This one does not change.

        Raises
        ------
        DataError
            If ``new_rows`` are not rows in memory, or columns differ; also if this posterior
            has no rows: those of a fit that was loaded, or whose rows were not in memory.

        Warns
        -----
        DataWarning, SamplingWarning, LackOfFitWarning
            As :func:`bayes_intgen.fit`.

        Examples
        --------
        >>> recent = np.arange(len(data)) % 10 == 0
        >>> first = bi.fit(data.take(~recent), method="laplace", progress=False)
        >>> second = first.update(data.take(recent), progress=False)
        >>> int(second.tree["constant_data"]["rows"].sum()) == len(data)
        True
        """
        if self._refit is None:
            raise DataError(
                "this posterior has no rows to add to: it was loaded from a file, or its rows were "
                "not in memory; fit all rows together with bi.fit"
            )
        return self._refit(new_rows, progress)

    def with_check(self, check: "Check") -> "Posterior":
        """Add the result of :func:`bayes_intgen.check` to the posterior.

        ``print``, :meth:`report` and :meth:`save` include the check; predictions do not change.

        Parameters
        ----------
        check : Check
            Check of the data of this fit.

        Returns
        -------
        Posterior

        Raises
        ------
        DataError
            If the check is of other actions or another outcome.

        Examples
        --------
        >>> checked = posterior.with_check(bi.check(data, held_out=0, progress=False))
        >>> checked.check.violated
        False
        """
        from bayes_intgen.assess.checks import Check

        instance(check, Check, "check", "bayes_intgen.check", DataError)
        names = tuple(map(str, check.table["action"].to_numpy()))
        outcome = check.table.attrs["outcome"]
        if (names, outcome) != (self.actions, self.outcome_name):
            raise DataError(
                f"the check is of {outcome!r} given {', '.join(map(repr, names))}, not of the data "
                "that were fitted"
            )
        checked = copy(self)
        checked.tree = with_groups(self.tree, check.to_datasets())
        return checked

    @property
    def check(self) -> "Check | None":
        """Check that :meth:`with_check` added, or None."""
        from bayes_intgen.assess.checks import Check

        return Check.of_tree(self.tree)

    def _report(self) -> "Report":
        from bayes_intgen.assess.summary import report_identification

        return report_identification(self)


def load(path: str | os.PathLike[str]) -> Posterior:
    """Load a posterior that :meth:`Posterior.save` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    Posterior
        Its predictions are identical to those of the saved posterior.

    Raises
    ------
    SavedFitError
        If the file is truncated or damaged, is not a saved fit, or was written by another version.
        Pipes, devices and folders are refused at once.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> posterior.save(folder / "fit.nc")
    >>> load(folder / "fit.nc").actions == posterior.actions
    True
    """
    # A fit that is neither saved nor loaded needs no HDF5.
    from bayes_intgen.posterior.storage import load_draws

    return load_draws(path, Posterior)
