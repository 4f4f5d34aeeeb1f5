"""Finds groups (people, shops, machines) with rows in training and in validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..checking import as_numbers
from ..experiment import Experiment
from ..plugins import Check, Finding, NotApplicable
from ..roles import Role

_REPEATS = 1.1
_SHARE = 0.05


def _run(experiment: Experiment) -> Sequence[Finding] | NotApplicable:
    split, dataset = experiment.split, experiment.dataset
    if split.kind == "group" and split.groups is not None:
        shared = _shared(experiment, split.groups)
        if shared == 0.0:
            return []
        return [
            Finding(
                CHECK.code,
                "critical",
                "Groups are split between training and validation",
                f"{shared:.1%} of the validation rows belong to a group that is also in training",
                "this split is broken; open the run again with profile_dataset",
            )
        ]
    found = []
    candidates = [
        name for name, role in dataset.roles.items() if role in (Role.GROUP, Role.ID) and name in dataset.frame
    ]
    repeating = 0
    for name in candidates:
        codes = as_numbers(dataset.frame[name])
        codes = np.where(np.isnan(codes), -1.0 - np.arange(len(codes)), codes)
        if len(codes) / max(1, len(np.unique(codes))) < _REPEATS:
            continue
        repeating += 1
        shared = _shared(experiment, codes)
        if shared >= _SHARE:
            found.append(
                Finding(
                    CHECK.code,
                    "warning",
                    f"Rows of one {name} lie on both sides of the folds",
                    f"{shared:.1%} of the validation rows share their {name} with a training row",
                    f"pass group_column='{name}' if the model will meet new values of it",
                )
            )
    return found if repeating else NotApplicable("no group column and no identifier that repeats")


def _shared(experiment: Experiment, groups: np.ndarray) -> float:
    """Largest share over the folds of validation rows whose group is also in training."""
    return max(float(np.isin(groups[fold.valid], groups[fold.train]).mean()) for fold in experiment.evaluator.folds)


CHECK = Check(
    "LEAK_GROUP_OVERLAP",
    "Groups across folds",
    "Rows of one group, or of one repeating identifier, in training and validation.",
    "data",
    _run,
)
