"""Finds folds whose training or validation rows lack a class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..checking import name_some
from ..experiment import Experiment
from ..plugins import Check, Finding, NotApplicable


def _run(experiment: Experiment) -> Sequence[Finding] | NotApplicable:
    if not experiment.task.is_classification:
        return NotApplicable("the target is a number")
    y, labels = experiment.dataset.y, experiment.task.classes
    everywhere = set(range(len(labels)))
    untrained: set[int] = set()
    unseen: set[int] = set()
    for fold in experiment.evaluator.folds:
        untrained |= everywhere - set(np.unique(y[fold.train]).tolist())
        unseen |= everywhere - set(np.unique(y[fold.valid]).tolist())
    found = []
    if untrained:
        names = name_some([labels[code] for code in sorted(untrained)])
        found.append(
            Finding(
                CHECK.code,
                "warning",
                "Some folds train without a class",
                f"absent from the training rows of at least one fold: {names}",
                "collect more rows of these classes or merge them; the model cannot predict what it never saw",
            )
        )
    if unseen - untrained:
        names = name_some([labels[code] for code in sorted(unseen - untrained)])
        found.append(
            Finding(
                CHECK.code,
                "info",
                "Some folds validate without a class",
                f"absent from the validation rows of at least one fold: {names}",
                "read the scores of these classes with care",
            )
        )
    return found


CHECK = Check("CLASS_MISSING", "Classes in every fold", "Classes without rows in a fold.", "data", _run)
