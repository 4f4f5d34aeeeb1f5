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
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from joblib import Parallel, delayed

from . import registry
from .adapter import Adapter
from .cache import EvaluationCache, code_version
from .corrections import Factors, correction_of, cross_fitted
from .costs import Costs
from .deadline import Deadline
from .errors import DeadlinePassed, Failure, InvalidInput, MleStarError
from .evaluation import Evaluation, FoldPlan
from .fold_cache import FoldCache, Inputs, Prefix
from .folds import Fold
from .freed_memory import return_freed_memory
from .limits import Footprint, footprint_of, size_growth
from .pipeline import Setting, fit_adapted, fit_context, fit_table_block
from .side_by_side import SideBySide
from .solution import Block, Solution, content_key

if TYPE_CHECKING:
    from .experiment import Experiment

log = logging.getLogger(__name__)

_KEPT_TABLES, _KEPT_BYTES_LEAST, _KEPT_BYTES_MOST = 3, 40 << 20, 1 << 30
"""Memory for transformed folds: so many times the table, within bounds."""
_KNOWN_BYTES = 1 << 28
"""Out-of-fold predictions held in memory; those beyond are read from the cache on disk when they are wanted."""
_GRACE_S = 1.0
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
    def costs(self) -> Costs:
        """What an evaluation takes."""
        threads = self.experiment.resources.threads
        most = max(len(fold.train) for fold in self.folds)
        return Costs(self.experiment.shape, most, len(self.folds), threads)

    @cached_property
    def _turns(self) -> list[int]:
        """Folds in the order they are fitted: the largest first, so that no core waits long for the last one."""
        return sorted(range(len(self.folds)), key=lambda number: -len(self.folds[number].train))

    def _part(self, place: int, at_once: int) -> float:
        """Part of the time left that is a fold's, by the rows of the largest fold of its turn and of the turns to come."""
        largest = [len(self.folds[number].train) for number in self._turns[place // at_once * at_once :: at_once]]
        return largest[0] / sum(largest)

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
        self.costs.learn(evaluation)
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
            needed_s, left_s = self.costs.estimate(solution), deadline.remaining()
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
        least_s = self.costs.least(solution)
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
        self.costs.learn(evaluation)
        return evaluation

    def _run_folds(self, solution: Solution, deadline: Deadline, stop: threading.Event, start: float) -> Evaluation:
        plan = self.costs.side_by_side(solution)
        try:
            results: dict[int, _FoldResult] = {}
            for wave in (range(plan.alone), range(plan.alone, len(self.folds))):
                done = Parallel(n_jobs=plan.at_once, backend="threading")(
                    delayed(self._one_fold)(solution, place, plan, deadline, stop) for place in wave
                )
                results |= zip((self._turns[place] for place in wave), done, strict=True)
            in_order = [results[number] for number in range(len(self.folds))]
            return self._gather(solution, in_order, time.monotonic() - start)
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
        return Evaluation(solution, (), None, time.monotonic() - start, failure=failure)

    def _gather(self, solution: Solution, results: Sequence[_FoldResult], seconds: float) -> Evaluation:
        task = self.experiment.task
        scores, predictions = [result.score for result in results], [result.prediction for result in results]
        factors: Factors = ()
        split, y = self.experiment.split, self.experiment.dataset.y
        if (learn := correction_of(solution, task, self.experiment.shape, split.kind)) is not None:
            predictions, factors = cross_fitted(y, self.folds, predictions, learn, split.kind)
            scores = [task.metric.score(y[f.valid], found) for f, found in zip(self.folds, predictions, strict=True)]
        oof = np.full((self.experiment.dataset.n_rows, self.experiment.task.n_outputs), np.nan, dtype=np.float32)
        for fold, score, prediction in zip(self.folds, scores, predictions, strict=True):
            if not math.isfinite(score):
                message = f"{task.metric.title} has no value on a fold; choose another metric or split"
                return Evaluation(solution, (), None, seconds, failure=Failure("invalid", message))
            if fold.repeat == 0:
                oof[fold.valid] = prediction
        footprint, rounds = results[0].footprint, [result.rounds or 1 for result in results]
        if footprint is not None:
            growth = size_growth(registry.model(solution.model.component).family, self._growth_of(solution))
            footprint = footprint.grown(growth * float(np.mean(rounds)) / rounds[0])
        return Evaluation(
            solution, tuple(scores), oof, seconds,
            tuple(result.seconds for result in results), tuple(result.rounds for result in results),
            cut=any(result.cut for result in results), growth=self._growth_of(solution), footprint=footprint,
            factors=factors,
        )  # fmt: skip

    def _one_fold(
        self, solution: Solution, place: int, plan: SideBySide, deadline: Deadline, stop: threading.Event
    ) -> _FoldResult:
        if stop.is_set():
            raise DeadlinePassed("the evaluation was given up")
        started, number = time.monotonic(), self._turns[place]
        fold = self.folds[number]
        threads = plan.threads[place]
        own = deadline.share(_FIT_SHARE * self._part(place, plan.at_once))
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
