"""Finds validation rows that lie before rows the model was trained on, where the data has an order in time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..checking import as_numbers
from ..experiment import Experiment
from ..plugins import Check, Finding, NotApplicable
from ..roles import Role


def _run(experiment: Experiment) -> Sequence[Finding] | NotApplicable:
    split, dataset = experiment.split, experiment.dataset
    if split.kind == "time" and split.order is not None:
        mixed = _before_training_ends(experiment, split.order)
        sealed_early = len(split.holdout) and split.order[split.holdout].min() < split.order[split.development].max()
        if mixed == 0.0 and not sealed_early:
            return []
        return [
            Finding(
                CHECK.code,
                "critical",
                "The folds train on the future",
                f"{mixed:.1%} of the validation rows lie before the last training row",
                "this split is broken; open the run again with profile_dataset",
            )
        ]
    dated = [
        name
        for name in dataset.frame.columns
        if dataset.roles[name] in (Role.TIME, Role.DATETIME) or dataset.feature_roles[name] is Role.DATETIME
    ]
    if not dated:
        return NotApplicable("no column holds a date or a time")
    found = []
    for name in dated:
        when = as_numbers(dataset.frame[name])
        mixed = _before_training_ends(experiment, np.where(np.isnan(when), -np.inf, when))
        if mixed > 0.0:
            found.append(
                Finding(
                    CHECK.code,
                    "info",
                    f"The folds mix past and future by {name}",
                    f"{mixed:.1%} of the validation rows lie before the last training row; split: {split.kind} "
                    f"({split.reason[:120]})",
                    f"pass time_column='{name}' if the model will predict rows later than these",
                )
            )
    return found


def _before_training_ends(experiment: Experiment, order: np.ndarray) -> float:
    """Largest share over the folds of validation rows that come before the last training row."""
    return max(float((order[fold.valid] < order[fold.train].max()).mean()) for fold in experiment.evaluator.folds)


CHECK = Check(
    "LEAK_TIME_ORDER", "Time order of the folds", "Validation rows earlier than training rows, by time.", "data", _run
)
