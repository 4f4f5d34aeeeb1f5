"""What an evaluation takes: the learners' own rules of thumb, put right by what was measured in this run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from . import registry
from .evaluation import Evaluation
from .shape import DataShape
from .side_by_side import SideBySide, side_by_side
from .solution import Solution

_TELLING_S = 0.2
_CUT_SHARE = 0.5
_CUT_SHARE_OF_FIRST = 0.3
_WHOLE_SHARE = 1.2
"""The least part of its estimated time a booster is started in: not yet measured here, nothing measured yet, and measured, when the
estimate can be trusted and a fit that is cut takes the time of one that could end."""
_CUT_TOOK = 1.2
_SMALL_STEPS = 1.8


@dataclass
class Costs:
    """Expected seconds of evaluations of one experiment on one plan of folds.

    Attributes
    ----------
    shape : DataShape
        Of the whole table.
    n_rows : int
        Rows of the largest training fold.
    n_folds, threads : int
    """

    shape: DataShape
    n_rows: int
    n_folds: int
    threads: int
    speed: dict[str, float] = field(default_factory=dict)
    """Seconds per second of its rule of thumb, of every learner that was measured in this run."""
    _measured: list[tuple[float, float]] = field(default_factory=list)

    def estimate(self, solution: Solution) -> float:
        """Expected wall seconds of an evaluation here, from what was measured so far or the learner's own prior."""
        prior = self._prior(solution)
        if solution.model.component in self.speed:
            return prior * self.speed[solution.model.component]
        return prior * self._machine()

    def least(self, solution: Solution) -> float:
        """Seconds that an evaluation is worth starting in.

        Boosting that the clock ends halfway has most of its gain, unless it takes small steps; where nothing of the kind has a
        score yet, even less of it is better than nothing. Once a learner has a score, a worse setting of it adds nothing.
        """
        share = _CUT_SHARE_OF_FIRST
        if not registry.model(solution.model.component).early_stopping or self._steps(solution) > _SMALL_STEPS:
            share = 1.0
        elif self.measured(solution):
            share = _WHOLE_SHARE
        elif any(registry.model(component).early_stopping for component in self.speed):
            share = _CUT_SHARE
        return share * self.estimate(solution)

    def measured(self, solution: Solution) -> bool:
        """Whether the estimate of a solution rests on a fit of its learner in this run."""
        return solution.model.component in self.speed

    def learn(self, evaluation: Evaluation) -> None:
        """Take in what an evaluation took."""
        prior, component = self._prior(evaluation.solution), evaluation.solution.model.component
        if evaluation.failure is not None or prior <= 0:
            return
        factor = max(evaluation.seconds, 0.01) / prior
        if evaluation.cut:
            # It would have taken longer than it was given.
            self.speed[component] = max(self.speed.get(component, 0.0), _CUT_TOOK * factor)
            return
        self.speed[component] = factor
        self._measured.append((factor, prior))

    def side_by_side(self, solution: Solution) -> SideBySide:
        """How the folds of a solution are fitted."""
        return self._side_by_side(solution, self._shape_of(solution))

    def _side_by_side(self, solution: Solution, shape: DataShape) -> SideBySide:
        return side_by_side(registry.model(solution.model.component).needs, shape, self.n_folds, self.threads)

    def _machine(self) -> float:
        """How much slower than the priors this machine is, from the learners measured so far; very short fits say nothing."""
        factors = sorted(factor for factor, prior_s in self._measured if prior_s > _TELLING_S)
        return float(np.clip(factors[len(factors) // 2], 0.3, 3.0)) if factors else 1.0

    def _prior(self, solution: Solution) -> float:
        """Wall seconds by the learner's own rule of thumb."""
        shape = self._shape_of(solution)
        waves = self._side_by_side(solution, shape).waves
        return registry.model(solution.model.component).cost(shape) * waves * self._effort(solution)

    def _shape_of(self, solution: Solution) -> DataShape:
        """What the learner of a solution gets on a fold."""
        shape = self.shape
        for block in solution.prefix:
            component = registry.components(block.slot).get(block.component)
            # One that is gone by now fails when it is fitted, with a reason.
            shape = shape if component is None else component.widens(shape)
        return replace(shape, n_rows=self.n_rows)

    def _effort(self, solution: Solution) -> float:
        """How many times as long as with its defaults a learner takes."""
        quicker = registry.model(solution.model.component).quicker(self.shape)
        is_quick = quicker is not None and quicker.params.items() <= dict(solution.model.params).items()
        return self._steps(solution) * (quicker.share if quicker is not None and is_quick else 1.0)

    def _steps(self, solution: Solution) -> float:
        """How many times as many rounds as with its defaults boosting needs: more as the learning rate falls."""
        model = registry.model(solution.model.component)
        asked = dict(solution.model.params).get("learning_rate")
        usual = model.defaults(self.shape).get("learning_rate") if model.family == "boosting" else None
        if not isinstance(asked, int | float) or not isinstance(usual, int | float) or asked <= 0:
            return 1.0
        return max(1.0, usual / asked)
