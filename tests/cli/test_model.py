import pytest
from bayes_intgen.cli.model import model_of

import bayes_intgen as bi


def test_products_have_a_log_link_and_the_options_of_sums() -> None:
    model = model_of("linear", ["green=red"], ["green,red"], True)
    expected = bi.models.multiplicative(
        "linear", {"green": ["red"]}, interactions=[("green", "red")]
    )
    assert model == expected
    assert model.link == "log"
    assert model_of("linear", None, None).link == "identity"


def test_products_with_student_t_noise_have_no_mean() -> None:
    with pytest.raises(bi.ModelError, match="without a mean; omit --noise"):
        model_of("gp", None, None, True, noise="student_t")
    assert model_of("gp", None, None, noise="student_t").noise == "student_t"
