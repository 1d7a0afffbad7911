"""``test_failure`` is a model like every other."""

from tests.conformance.models import ModelConformance


class TestTestFailure(ModelConformance):
    name = "test_failure"
