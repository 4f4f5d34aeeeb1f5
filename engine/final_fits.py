"""The fits of the final model: on development rows first, for the holdout to be read with, and saved before anything else, so that
something deployable exists whatever the clock does; then, as far as the time allows, on all rows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from .deadline import Deadline
from .errors import MleStarError
from .evaluation import fit_seconds
from .examination import heaviest
from .experiment import Experiment
from .final import Chosen, fit_final, mean_of, refit_members
from .final_model import FinalModel, load, save
from .holdout import Holdout, choice_key
from .pipeline import FittedSolution

log = logging.getLogger(__name__)

_CHECKS_SHARE = 0.4
"""Of the seconds set aside for validation, for what follows the fits: the checks of the model."""


class FinalFits:
    """Fits and saves a choice.

    Attributes
    ----------
    model : FinalModel or None
        What is saved now.
    rows : str
        Which rows it was fitted on.
    fitted : Chosen or None
        What of the choice it holds.
    notes : list of str
        What did not go as wanted.
    """

    def __init__(self, experiment: Experiment, choice: Chosen) -> None:
        self.experiment = experiment
        self.choice = choice
        self.deadline: Deadline = experiment.deadline
        self.notes: list[str] = []
        self.model: FinalModel | None = None
        self.rows = "none"
        self.fitted: Chosen | None = None
        self._holdout: Holdout | None = None

    @property
    def complete(self) -> bool:
        """Whether the saved model is the choice with all its members."""
        if self.model is None or self.fitted is None:
            return False
        same = choice_key(self.fitted) == choice_key(self.choice)
        return same and len(self.model.members) == len(self.choice.members)

    def shortfall(self) -> list[str]:
        """Why the saved model is not the one that was validated; empty where it is."""
        if self.model is None:
            return ["no model could be fitted in the time left; raise time_budget_s"]
        if self.complete:
            return []
        fitted, wanted = len(self.model.members), len(self.choice.members)
        return [
            f"the saved model holds {fitted} of {wanted} members for want of time; call validate again with more time_budget_s"
        ]

    def on_all_rows(self, holdout: Holdout | None) -> None:
        """Replace a model on development rows, member by member as far as the time allows; where it stays, the reading of the
        holdout goes into its description."""
        before, noted, self._holdout = self.rows, len(self.notes), holdout
        everything = np.arange(self.experiment.dataset.n_rows)
        if self.complete:
            self._members_on(everything)
        elif self.model is None or fit_seconds(self.choice.members, 1.0) + self._checks_s <= self.deadline.remaining():
            # Two ensembles of forests at once fill gigabytes; the first one lies on the disk.
            members, self.model = len(self.model.members) if self.model is not None else 0, None
            self.on(everything, "all rows", members)
            if self.model is None and members:
                self.model = load(self.experiment.run.model_path)
        if self.model is None or self.fitted is None or self.rows != before:
            return
        if len(self.notes) == noted:
            self.notes.append(f"no time was left to refit on all rows: the saved model was fitted on {self.rows}")
        if holdout is not None:
            save(self.model, self.experiment.run.model_path, self._about(self.model, self.fitted, self.rows))

    @property
    def _checks_s(self) -> float:
        """Seconds that the checks after the fits want."""
        return _CHECKS_SHARE * self.experiment.validation_s

    def on(self, positions: np.ndarray, rows: str, least_members: int = 0) -> None:
        """Fit and save, unless an earlier model has more members; where not even its heaviest member fits into the time as it is,
        that one alone, on what rows it can."""
        single = Chosen.alone(heaviest(self.choice))
        too_slow = self.choice.weights is None and single.members[0].refit_seconds > self.deadline.remaining()
        for attempt in (single,) if too_slow else (self.choice, single):
            try:
                model = fit_final(self.experiment, attempt, positions, self._clock(attempt, least_members))
            except (MleStarError, MemoryError) as error:
                self.notes.append(f"fitting {attempt.strategy} on {rows} failed: {str(error)[:160]}")
                continue
            except Exception as error:
                log.warning("the final fit failed", exc_info=True)
                said = f"{type(error).__name__}: {str(error)[:160]}"
                self.notes.append(f"fitting {attempt.strategy} on {rows} failed: {said}")
                continue
            if len(model.members) < least_members:
                self.notes.append(f"the time did not allow all members on {rows}: the model on {self.rows} stays")
                return
            seen = rows if model.n_rows == len(positions) else f"{model.n_rows:,} of {len(positions):,} ({rows})"
            seen += _sampled(model.members, model.n_rows)
            broken_off = attempt.weights is None and len(model.members) < len(attempt.members)
            self._keep(model, self._left_of(attempt, model) if broken_off else attempt, seen)
            return

    def _members_on(self, everything: np.ndarray) -> None:
        """Fit as many members again as there is time for, each in the place of what it was on development rows."""
        if self.model is None:
            return
        later_s = self._checks_s + fit_seconds(self.choice.members, 0.0)
        clock = self.deadline.at_most(max(0.0, self.deadline.remaining() - later_s))
        again, failures = refit_members(self.experiment, self.choice, self.model, everything, clock)
        self.notes.extend(f"fitting on all rows failed: {failure}" for failure in failures)
        if not again:
            return
        members = self.model.members
        rows = "all rows" + _sampled([members[number] for number in again], len(everything))
        if len(again) < len(members):
            rows += f"; {len(members) - len(again)} of {len(members)} members on {self.rows}"
        self._keep(self.model, self.choice, rows)

    def _keep(self, model: FinalModel, fitted: Chosen, rows: str) -> None:
        save(model, self.experiment.run.model_path, self._about(model, fitted, rows))
        self.model, self.fitted, self.rows = model, fitted, rows

    def _clock(self, choice: Chosen, earlier: int) -> Deadline:
        """The first fit of a single solution, which is whole where it is cut, leaves their time to the checks."""
        left_s = self.deadline.remaining()
        whole = earlier or len(choice.members) > 1
        return self.deadline if whole else self.deadline.at_most(max(0.5 * left_s, left_s - self._checks_s))

    def _left_of(self, choice: Chosen, model: FinalModel) -> Chosen:
        """What is left of a strategy that was broken off."""
        fitted = [one.solution for one in model.members]
        return mean_of(self.experiment, [member for member in choice.members if member.solution in fitted])

    def _about(self, model: FinalModel, fitted: Chosen, rows: str) -> dict[str, Any]:
        """Describe a model; scores are None where members of what was scored are missing in it."""
        task = self.experiment.task
        whole = len(model.members) == len(fitted.members)
        reading = self._holdout if whole and self._holdout is not None and self._holdout.belongs_to(fitted) else None
        return {
            "run_id": self.experiment.run.run_id,
            "task": task.kind,
            "metric": task.metric.key,
            "cross_validation": fitted.mean if whole else None,
            "holdout": reading.score if reading else None,
            "strategy": fitted.strategy
            if whole or fitted.is_average
            else "weights"
            if len(model.members) > 1
            else "single",
            "choice": choice_key(fitted) if whole else None,
            "fitted_on": rows,
            "seed": self.experiment.seed,
            "fingerprint": self.experiment.dataset.fingerprint,
        }


def _sampled(members: Sequence[FittedSolution], n_rows: int) -> str:
    """Say which learners got a sample of these rows."""
    sampled = {one.solution.model.component: one.n_rows for one in members if one.n_rows < n_rows}
    return "".join(f"; {learner} on a sample of {sample:,}" for learner, sample in sampled.items())
