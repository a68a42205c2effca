"""How far those plans are checked beside which the tests train another of the same task."""

import os

import pytest

from tests.examples.plans import check_models, check_plan


@pytest.fixture
def check():
    """Two of their models are trained as well if the environment has WHOLE_PLANS."""
    return check_plan if os.environ.get("WHOLE_PLANS") else check_models
