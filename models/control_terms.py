"""Terms of a bias as functions of an action's control variable."""

from dataclasses import replace

from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.control import CONTROL, ControlBasis, ControlVariable
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.tensor_product import TensorProductBasis
from bayes_intgen.data.rows import Observations
from bayes_intgen.models.additive import AdditiveModel
from bayes_intgen.models.base import Model
from bayes_intgen.models.gates import WhereNotSet
from bayes_intgen.models.mechanisms.components import marginal_basis_size
from bayes_intgen.models.mechanisms.levels import Levels
from bayes_intgen.models.mechanisms.mechanism import Component, Mechanism
from bayes_intgen.models.terms import Decomposition, Term


def control_terms(
    data: Observations,
    model: Model,
    terms: Decomposition,
    inputs: tuple[int, ...],
    control: ControlVariable,
    rows: int,
) -> tuple[Decomposition, tuple[Term, ...]]:
    """Replace the functions of an action in its bias by functions of its control variable.

    They average zero given the observed causes, of which the control variable is independent: so
    does the bias if hidden causes shift the outcome by the same amount at every action
    (docs/method.md, "The mean of a bias"). Products of the control variable with the action, and
    with each parent, are candidates of forward selection.

    Parameters
    ----------
    data : Observations
        Rows that determine the bases.
    model : Model
    terms : Decomposition
    inputs : tuple of int
        The action, and its observed causes.
    control : ControlVariable
    rows : int
        Number of rows in all.
    """
    k, size = inputs[0], marginal_basis_size(rows)
    not_set = ~data.intervened[:, k]
    of_rows = data.inputs[not_set][:, list(inputs)]
    values = control.matrix(of_rows)
    bias = model.bias if isinstance(model, AdditiveModel) else None
    mechanisms = model.mechanisms(data, bias)
    # Residuals of levels are numbers.
    mechanism = mechanisms[terms.names[k]]
    smooth: Mechanism = model.prior if isinstance(mechanism, Levels) else mechanism
    coordinate = Coordinate.of(values[:, 0])
    order = smooth.pair_order(rows)
    margin = smooth.marginal_basis(values, coordinate, size)

    def products(position: int) -> Component:
        own = inputs[position]
        other: Basis = mechanisms[terms.names[own]].marginal_basis(
            of_rows[:, [position]], terms.coordinates[own], size
        )
        basis = TensorProductBasis((margin, other), order)
        label = "control" if own == k else f"control, {terms.names[own]}"
        product = ControlBasis(control, basis, (CONTROL, position))
        return Component(label, product, smooth.interaction)

    name, gate = f"delta({terms.names[k]})", WhereNotSet(k)

    def term(component: Component) -> Term:
        label = f"{name} {component.label}".strip()
        return Term(label, "bias", k, inputs, component, None, gate)

    others = (t for t in terms.terms if not (t.role == "bias" and t.inputs == (k,)))
    alone = (
        term(replace(own, basis=ControlBasis(control, own.basis)))
        for own in smooth.main_effect(values, coordinate, rows)
    )
    positions = [i for i, own in enumerate(inputs) if order and own < len(terms.names)]
    candidates = tuple(term(products(i)) for i in positions)
    return replace(terms, terms=(*others, *alone)), candidates
