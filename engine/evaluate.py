"""Evaluation: the one place where a score is computed.

A solution is walked block by block on each fold; where there is memory for it, what the table blocks produced for a fold is
reused by every solution that shares that prefix, and a finished evaluation is cached by content, so it is never computed twice, in
this run or a later one.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from joblib import Parallel, delayed

from . import registry
from .adapter import Adapter
from .cache import EvaluationCache, code_version
from .deadline import Deadline
from .errors import DeadlinePassed, Failure, InvalidInput, MleStarError
from .evaluation import Evaluation, FoldPlan
from .fold_cache import FoldCache, Inputs, Prefix
from .folds import Fold
from .freed_memory import return_freed_memory
from .limits import Footprint, footprint_of, size_growth
from .pipeline import Setting, fit_adapted, fit_context, fit_table_block
from .shape import DataShape
from .side_by_side import SideBySide, side_by_side
from .solution import Block, Solution, content_key

if TYPE_CHECKING:
    from .experiment import Experiment

log = logging.getLogger(__name__)

_KEPT_TABLES, _KEPT_BYTES_LEAST, _KEPT_BYTES_MOST = 3, 40 << 20, 1 << 30
"""Memory for transformed folds: so many times the table, within bounds."""
_KNOWN_BYTES = 1 << 28
"""Out-of-fold predictions held in memory; those beyond are read from the cache on disk when they are wanted."""
_GRACE_S = 1.0
_TELLING_S = 0.2
_CUT_SHARE = 0.5
_CUT_SHARE_OF_FIRST = 0.3
_WHOLE_SHARE = 1.2
"""The least part of its estimated time a booster is started in: not yet measured here, nothing measured yet, and measured, when the
estimate can be trusted and a fit that is cut takes the time of one that could end."""
_CUT_TOOK = 1.2
_SMALL_STEPS = 1.8
_GRACE_START_S = 0.2
_FIT_SHARE = 0.75
"""Of a fold's time, so that a fit the clock ends can still predict: an evaluation that is late by that is lost whole. A thousand
trees take a third of their own time to predict half as many rows."""


@dataclass
class _FoldResult:
    score: float
    prediction: np.ndarray
    seconds: float
    rounds: int | None
    cut: bool
    footprint: Footprint | None


class Evaluator:
    """Scores solutions of one experiment on one plan of folds.

    Parameters
    ----------
    experiment : Experiment
    plan : FoldPlan
        Evaluations of different plans are never compared with each other.
    """

    def __init__(self, experiment: Experiment, plan: FoldPlan) -> None:
        self.experiment = experiment
        self.plan = plan
        self.setting = Setting(experiment.task, experiment.shape, experiment.split, experiment.seed)
        self._cache = EvaluationCache(experiment.resources.cache_path)
        table_bytes = int(experiment.dataset.frame.memory_usage(index=False).sum())
        room = min(max(_KEPT_TABLES * table_bytes, _KEPT_BYTES_LEAST), _KEPT_BYTES_MOST)
        self._kept = FoldCache(room, plan.n_folds * plan.repeats)
        self._speed: dict[str, float] = {}
        self._measured: list[tuple[float, float]] = []
        self._known: dict[str, Evaluation] = {}
        plan_json = plan.to_json()
        self._recorded = {
            entry.body["key"]
            for entry in experiment.run.journal.read("evaluation")
            if entry.body["plan"] == plan_json and entry.body["failure"] is None
        }

    @cached_property
    def folds(self) -> tuple[Fold, ...]:
        """The folds of the plan."""
        split, rows = self.experiment.split, None
        if self.plan.max_rows is not None and self.plan.max_rows < len(split.development):
            # Time order keeps the newest rows: they are closest to what the model will meet.
            rows = split.subsample(self.plan.max_rows)
        return split.folds(self.plan.n_folds, self.plan.repeats, rows)

    @cached_property
    def test_train_ratio(self) -> float:
        """Validation rows per training row, for the corrected t statistic."""
        return float(np.mean([len(fold.valid) / len(fold.train) for fold in self.folds]))

    @cached_property
    def covered(self) -> np.ndarray:
        """Positions that have an out-of-fold prediction, ascending."""
        return np.unique(np.concatenate([fold.valid for fold in self.folds if fold.repeat == 0]))

    @cached_property
    def _content(self) -> str:
        return content_key(
            [self.experiment.dataset.fingerprint, self.experiment.split.key, self.plan.to_json(), self.experiment.seed,
             self.experiment.task.metric.key, self.experiment.resources.threads, bool(self.experiment.limits), code_version()]
        )  # fmt: skip

    def _cut_key(self, solution: Solution) -> str:
        """Where a result is kept that the clock cut short: what fits into a run depends on its time, so only runs that were given
        the same time, to five seconds, take it from each other."""
        return f"{self._content}:in {5 * math.ceil(self.experiment.budget_s / 5)} s:{solution.key}"

    @cached_property
    def _growth(self) -> float:
        """Rows of the dataset per row of a training fold."""
        return self.experiment.dataset.n_rows / float(np.mean([len(fold.train) for fold in self.folds]))

    def _growth_of(self, solution: Solution) -> float:
        """Rows of the final fit per row of a training fold."""
        most, all_rows = registry.model(solution.model.component).most_rows, self.experiment.dataset.n_rows
        return self._growth if most is None else self._growth * min(1.0, most / all_rows)

    def recall(self, solution: Solution) -> Evaluation | None:
        """Return a finished evaluation without computing anything, or None."""
        if solution.key in self._known:
            return self._known[solution.key]
        found = self._cache.get(f"{self._content}:{solution.key}") or self._cache.get(self._cut_key(solution))
        if found is None:
            return None
        evaluation = Evaluation.from_json(*found)
        self._remember(evaluation)
        self._learn_speed(evaluation)
        return evaluation

    def evaluate(self, solution: Solution, deadline: Deadline, origin: str = "") -> Evaluation:
        """Score a solution; never raises for a candidate's own fault, which comes back as a typed failure.

        A candidate that is not expected to finish in time is not started (`timeout`), unless its learner can stop early. What this
        run has not seen yet is written to the journal with its `origin`, and if another run computed it, charges the deadline what
        it cost then.
        """
        evaluation = self.recall(solution)
        if evaluation is not None:
            if solution.key not in self._recorded:
                deadline.charge(evaluation.seconds)
        elif self.in_time(solution, deadline):
            evaluation = self._compute(solution, deadline)
        else:
            needed_s, left_s = self.estimate(solution), deadline.remaining()
            message = f"not started: about {needed_s:.0f} s needed, {left_s:.0f} s left"
            evaluation = Evaluation(solution, (), None, 0.0, failure=Failure("timeout", message))
        if solution.key not in self._recorded:
            self.experiment.record(
                "evaluation", {"origin": origin, "plan": self.plan.to_json(), **evaluation.to_json()}
            )
        if evaluation.failure is None:
            self._remember(evaluation)
            self._recorded.add(solution.key)
        return evaluation

    def in_time(self, solution: Solution, deadline: Deadline) -> bool:
        """Whether an evaluation is worth starting: it is expected to end in time, or to be good for something where it is cut."""
        least_s = self.estimate(solution) * self._least_share(solution)
        return not deadline.passed and least_s <= deadline.remaining() * 1.2 + _GRACE_START_S

    def forget_folds(self) -> None:
        """Free the memory of transformed folds, when no more evaluations are to come; one that does come starts from the table."""
        self._kept.clear()
        return_freed_memory()

    def _remember(self, evaluation: Evaluation) -> None:
        """Keep an evaluation at hand, and let the oldest ones go where their predictions fill too much memory."""
        self._known[evaluation.key] = evaluation
        held = sum(known.oof.nbytes for known in self._known.values() if known.oof is not None)
        for key, known in list(self._known.items())[:-1]:
            if held <= _KNOWN_BYTES:
                break
            held -= known.oof.nbytes if known.oof is not None else 0
            del self._known[key]

    def _least_share(self, solution: Solution) -> float:
        """The least part of the estimated time a fit is worth starting in.

        Boosting that the clock ends halfway has most of its gain, unless it takes small steps; where nothing of the kind has a
        score yet, even less of it is better than nothing. Once a learner has a score, a worse setting of it adds nothing.
        """
        if not registry.model(solution.model.component).early_stopping or self._steps(solution) > _SMALL_STEPS:
            return 1.0
        if self.measured(solution):
            return _WHOLE_SHARE
        known = any(registry.model(component).early_stopping for component in self._speed)
        return _CUT_SHARE if known else _CUT_SHARE_OF_FIRST

    def estimate(self, solution: Solution) -> float:
        """Expected wall seconds of an evaluation here, from what was measured so far or the learner's own prior."""
        prior = self._prior(solution)
        if solution.model.component in self._speed:
            return prior * self._speed[solution.model.component]
        return prior * self._machine()

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
        shape = self.experiment.shape
        for block in solution.prefix:
            component = registry.components(block.slot).get(block.component)
            # One that is gone by now fails when it is fitted, with a reason.
            shape = shape if component is None else component.widens(shape)
        return replace(shape, n_rows=len(self.folds[-1].train))

    def _side_by_side(self, solution: Solution, shape: DataShape | None = None) -> SideBySide:
        needs, shape = registry.model(solution.model.component).needs, shape or self._shape_of(solution)
        return side_by_side(needs, shape, len(self.folds), self.experiment.resources.threads)

    def _effort(self, solution: Solution) -> float:
        """How many times as long as with its defaults a learner takes."""
        quicker = registry.model(solution.model.component).quicker(self.experiment.shape)
        is_quick = quicker is not None and quicker.params.items() <= dict(solution.model.params).items()
        return self._steps(solution) * (quicker.share if quicker is not None and is_quick else 1.0)

    def _steps(self, solution: Solution) -> float:
        """How many times as many rounds as with its defaults boosting needs: more as the learning rate falls."""
        model = registry.model(solution.model.component)
        asked = dict(solution.model.params).get("learning_rate")
        usual = model.defaults(self.experiment.shape).get("learning_rate") if model.family == "boosting" else None
        if not isinstance(asked, int | float) or not isinstance(usual, int | float) or asked <= 0:
            return 1.0
        return max(1.0, usual / asked)

    def _learn_speed(self, evaluation: Evaluation) -> None:
        prior, component = self._prior(evaluation.solution), evaluation.solution.model.component
        if evaluation.failure is not None or prior <= 0:
            return
        factor = max(evaluation.seconds, 0.01) / prior
        if evaluation.cut:
            # It would have taken longer than it was given.
            self._speed[component] = max(self._speed.get(component, 0.0), _CUT_TOOK * factor)
            return
        self._speed[component] = factor
        self._measured.append((factor, prior))

    def measured(self, solution: Solution) -> bool:
        """Whether the estimate of a solution rests on a fit of its learner in this run."""
        return solution.model.component in self._speed

    def _compute(self, solution: Solution, deadline: Deadline) -> Evaluation:
        """Run the folds in threads; a fit that cannot be interrupted is left behind when time is over."""
        start = time.monotonic()
        stop = threading.Event()
        box: list[Evaluation] = []

        def work() -> None:
            box.append(self._run_folds(solution, deadline, stop, start))

        thread = threading.Thread(target=work, daemon=True, name=f"evaluate-{solution.key}")
        thread.start()
        thread.join(deadline.remaining() + _GRACE_S)
        if not box:
            stop.set()
            message = (
                f"{solution.model.component} did not finish in {time.monotonic() - start:.0f} s; give it more time"
            )
            return Evaluation(solution, (), None, time.monotonic() - start, failure=Failure("timeout", message))
        return_freed_memory()
        evaluation = box[0]
        if evaluation.failure is None:
            key = self._cut_key(solution) if evaluation.cut else f"{self._content}:{solution.key}"
            self._cache.put(key, evaluation.to_json(), evaluation.oof)
        self._learn_speed(evaluation)
        return evaluation

    def _run_folds(self, solution: Solution, deadline: Deadline, stop: threading.Event, start: float) -> Evaluation:
        plan = self._side_by_side(solution)
        try:
            results: list[_FoldResult] = []
            for wave in (range(plan.alone), range(plan.alone, len(self.folds))):
                results += Parallel(n_jobs=plan.at_once, backend="threading")(
                    delayed(self._one_fold)(solution, number, plan, deadline, stop) for number in wave
                )
        except MemoryError:
            failure = Failure("memory", f"{solution.model.component} ran out of memory; use fewer rows or columns")
        except DeadlinePassed as error:
            failure = Failure("timeout", str(error))
        except MleStarError as error:
            failure = Failure("invalid", str(error))
        except Exception as error:
            log.warning("candidate failed: %s", solution.describe(), exc_info=True)
            failure = Failure(
                "error", f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
            )
        else:
            return self._gather(solution, results, time.monotonic() - start)
        return Evaluation(solution, (), None, time.monotonic() - start, failure=failure)

    def _gather(self, solution: Solution, results: Sequence[_FoldResult], seconds: float) -> Evaluation:
        oof = np.full((self.experiment.dataset.n_rows, self.experiment.task.n_outputs), np.nan, dtype=np.float32)
        for fold, result in zip(self.folds, results, strict=True):
            if not math.isfinite(result.score):
                message = f"{self.experiment.task.metric.title} has no value on a fold; choose another metric or split"
                return Evaluation(solution, (), None, seconds, failure=Failure("invalid", message))
            if fold.repeat == 0:
                oof[fold.valid] = result.prediction
        footprint, rounds = results[0].footprint, [result.rounds or 1 for result in results]
        if footprint is not None:
            growth = size_growth(registry.model(solution.model.component).family, self._growth_of(solution))
            footprint = footprint.grown(growth * float(np.mean(rounds)) / rounds[0])
        return Evaluation(
            solution, tuple(result.score for result in results), oof, seconds,
            tuple(result.seconds for result in results), tuple(result.rounds for result in results),
            cut=any(result.cut for result in results), growth=self._growth_of(solution), footprint=footprint,
        )  # fmt: skip

    def _one_fold(
        self, solution: Solution, number: int, plan: SideBySide, deadline: Deadline, stop: threading.Event
    ) -> _FoldResult:
        if stop.is_set():
            raise DeadlinePassed("the evaluation was given up")
        started = time.monotonic()
        fold = self.folds[number]
        threads, waves_left = plan.threads[number], plan.waves - number // plan.at_once
        own = deadline.share(_FIT_SHARE / waves_left)
        y = self.experiment.dataset.y
        inputs = self._inputs(solution, number, threads, own)
        fitted = fit_adapted(
            self.setting,
            solution,
            inputs.train,
            inputs.adapter,
            inputs.transforms,
            y[fold.train],
            fold.train,
            threads,
            own,
        )
        prediction = fitted.predict_adapted(inputs.valid)
        if not np.isfinite(prediction).all():
            raise InvalidInput(f"{solution.model.component} predicted values that are not finite")
        score = self.experiment.task.metric.score(y[fold.valid], prediction)
        seconds = time.monotonic() - started
        footprint = None
        if number == 0 and self.experiment.limits:
            footprint = footprint_of(fitted, self.experiment.dataset.table.take(fold.valid[:1]))
        return _FoldResult(score, prediction, seconds, fitted.model.rounds, fitted.model.cut, footprint)

    def _inputs(self, solution: Solution, number: int, threads: int, deadline: Deadline) -> Inputs:
        """Return fold `number` as the learner of a solution takes it; learners that take the same share it."""
        needs = registry.model(solution.model.component).needs
        key = solution.prefix, needs.form
        found = self._kept.get(Inputs, key, number)
        if found is None:
            prefix = self._prefix(solution.prefix, number, threads, deadline)
            adapter = Adapter.fit(prefix.train, needs)
            found = Inputs(adapter.apply(prefix.train), adapter.apply(prefix.valid), prefix.transforms, adapter)
            self._kept.put(key, number, found)
        return found

    def _prefix(self, blocks: tuple[Block, ...], number: int, threads: int, deadline: Deadline) -> Prefix:
        """Return fold `number` after these table blocks, from the longest prefix at hand."""
        found = self._kept.get(Prefix, blocks, number)
        if found is not None:
            return found
        fold = self.folds[number]
        if not blocks:
            table = self.experiment.dataset.table
            prefix = Prefix(table.take(fold.train), table.take(fold.valid), [])
        else:
            before = self._prefix(blocks[:-1], number, threads, deadline)
            deadline.check(f"preparing {blocks[-1].name}")
            context = fit_context(self.setting, fold.train, threads, deadline)
            train, transform = fit_table_block(blocks[-1], before.train, self.experiment.dataset.y[fold.train], context)
            prefix = Prefix(train, transform.apply(before.valid), [*before.transforms, transform])
        self._kept.put(blocks, number, prefix)
        return prefix
