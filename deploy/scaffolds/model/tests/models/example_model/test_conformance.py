"""``example_model`` is a model like every other."""

from tests.conformance.models import ModelConformance


class TestExampleModel(ModelConformance):
    name = "example_model"
