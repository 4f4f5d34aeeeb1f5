"""The sealed holdout. Its rows are scored once in the life of a run; after that only the recorded score is reported."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from .compare import Interval, interval_of_next, interval_of_sample
from .deadline import Deadline
from .experiment import Experiment
from .final import Chosen
from .final_model import FinalModel
from .plugins import NotApplicable
from .resampling import FEWEST_RESAMPLES, resampled_scores
from .solution import content_key

_BOOTSTRAP_S = 2.0


@dataclass(frozen=True)
class Holdout:
    """The one reading.

    Attributes
    ----------
    choice : str
        Key of the choice whose model (fitted on development rows only) was scored.
    interval : (float, float) or None
        95 %, for as many new rows: bootstrap over rows, over whole groups where the split keeps them together; None without
        time for it. Where time orders the rows, for the next block: periods differ by more than the draw of their rows.
    members : int
        Members of the model that was scored.
    """

    choice: str
    score: float
    interval: Interval | None
    n_rows: int
    members: int

    def belongs_to(self, choice: Chosen) -> bool:
        """Whether this is the score of that choice; of any other choice it says nothing."""
        return self.choice == choice_key(choice)


def choice_key(choice: Chosen) -> str:
    """Content hash of what would be deployed."""
    weights = None if choice.weights is None else [round(weight, 9) for weight in choice.weights]
    return content_key([choice.strategy, [member.key for member in choice.members], weights])


def recorded_holdout(experiment: Experiment) -> Holdout | None:
    """The reading this run has made, or None while the holdout is sealed."""
    for entry in experiment.run.journal.read("holdout_read"):
        body = entry.body
        return Holdout(**{**body, "interval": tuple(body["interval"]) if body["interval"] else None})
    return None


def read_holdout(
    experiment: Experiment, choice: Chosen, model: FinalModel, deadline: Deadline
) -> Holdout | NotApplicable:
    """Score a model that was fitted on development rows on the sealed rows, and record it.

    Parameters
    ----------
    model : FinalModel
        All members of `choice`; the score of a part of them would be recorded as that of the whole.

    Raises
    ------
    RuntimeError
        The holdout was read before: a second reading would turn it into a validation set.
    ValueError
        The model lacks members of the choice.
    """
    if len(model.members) != len(choice.members):
        raise ValueError(f"the model holds {len(model.members)} of {len(choice.members)} members of the choice")
    if recorded_holdout(experiment) is not None:
        raise RuntimeError("the sealed holdout of this run was read before; use the recorded score")
    rows = experiment.split.holdout
    y, metric = experiment.dataset.y[rows], experiment.task.metric
    if len(rows) == 0:
        return NotApplicable("no rows were sealed")
    if experiment.task.is_classification and len(np.unique(y)) < 2:
        return NotApplicable("the sealed rows hold a single class")
    prediction = model.predict_table(experiment.dataset.table.take(rows))
    score = metric.score(y, prediction)
    if not np.isfinite(score):
        return NotApplicable(f"{metric.title} is undefined on the sealed rows")
    if experiment.split.kind == "time":
        interval = interval_of_next(score, [*choice.scores, score], metric)
    else:
        resampled = resampled_scores(experiment, rows, prediction, deadline.at_most(_BOOTSTRAP_S))
        interval = interval_of_sample(score, resampled, metric) if len(resampled) >= FEWEST_RESAMPLES else None
    reading = Holdout(choice_key(choice), score, interval, len(rows), len(model.members))
    experiment.record("holdout_read", asdict(reading))
    return reading
