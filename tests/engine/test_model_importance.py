"""The clock has no part in which columns a boosted model is said to gain from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from component_tables import make_context
from mle_star.engine import registry
from mle_star.engine.deadline import Deadline
from mle_star.engine.errors import DeadlinePassed
from mle_star.engine.roles import Role
from mle_star.engine.table import Table


@pytest.mark.parametrize("reads_in_time", [1, 2, 20])
def test_without_time_for_all_rounds_there_is_no_choice_of_columns(reads_in_time: int) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 6)), columns=list("abcdef"))
    table = Table(frame, dict.fromkeys(frame.columns, Role.NUMERIC))
    reads = iter([0.0] * reads_in_time)
    context = replace(make_context("regression", 200), deadline=Deadline(10.0, clock=lambda: next(reads, 100.0)))
    component = registry.component("select", "model_importance")
    assert component.fit_table is not None
    with pytest.raises(DeadlinePassed):
        component.fit_table(table, frame["a"].to_numpy(), component.defaults, context)
