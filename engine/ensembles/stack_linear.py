"""A linear second learner on the members' predictions."""

from __future__ import annotations

from ..plugins import Ensemble
from ._linear import linear_stack

ENSEMBLE = Ensemble(
    key="stack_linear",
    title="Linear stack",
    summary="A non-negative linear model on the members' predictions, pulled towards equal shares.",
    fit=linear_stack,
    priority=35,
    members="few",
)
