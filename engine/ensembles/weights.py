"""Weights that minimise a proper loss."""

from __future__ import annotations

from ..plugins import Ensemble
from ._optimised import MEANS_AND_CHANCES, optimised_weights

ENSEMBLE = Ensemble(
    key="weights",
    title="Optimised weights",
    summary="Non-negative weights that minimise squared error or log loss out of fold, averaged over halves of the rows.",
    fit=optimised_weights,
    priority=45,
    aims_at=MEANS_AND_CHANCES,
)
