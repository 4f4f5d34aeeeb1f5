"""Fitting a solution on some rows: table blocks, adapter, target transform, learner, correction of predictions.

Everything learnt from data is learnt here, from the rows it is given and no others. Scoring is `evaluate`'s business.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from . import registry
from .adapter import Adapter
from .corrections import Factors, correct
from .deadline import Deadline
from .folds import Split
from .plugins import (
    EarlyStopping,
    FitContext,
    FittedModel,
    Model,
    ParamDict,
    Positions,
    PostTransform,
    TargetTransform,
    TrainingData,
    Transform,
)
from .shape import DataShape
from .solution import Block, Solution
from .table import Table
from .task import Task
from .unit_scale import UnitScale


@dataclass(frozen=True)
class Setting:
    """What stays the same for every fit of an experiment."""

    task: Task
    shape: DataShape
    split: Split
    seed: int


@dataclass
class FittedSolution:
    """A solution fitted on some rows; dumps and loads with joblib."""

    solution: Solution
    n_outputs: int
    regression: bool
    transforms: list[Transform]
    adapter: Adapter
    present: np.ndarray
    target: TargetTransform | None
    model: FittedModel
    post: PostTransform | None
    seconds: float = 0.0
    n_rows: int = 0
    """Rows it was fitted on."""
    scale: UnitScale | None = None
    """What the learner's values stand in, where the target's own size would have been too much for it."""
    factors: Factors = ()
    """Correct predictions for the metric, see `corrections`."""

    def predict_table(self, table: Table) -> np.ndarray:
        """Raw feature rows → (n_rows, n_outputs) probabilities or values."""
        for transform in self.transforms:
            table = transform.apply(table)
        return self.predict_adapted(self.adapter.apply(table))

    def predict_adapted(self, X: pd.DataFrame) -> np.ndarray:
        """Rows as the learner takes them → (n_rows, n_outputs)."""
        prediction = self._raw(X)
        return correct(self.post.apply(prediction) if self.post else prediction, self.factors)

    def _raw(self, X: pd.DataFrame) -> np.ndarray:
        prediction = self.model.predict(X)
        if not self.regression and len(self.present) < self.n_outputs:
            # A fold may lack a rare class: the learner never saw it and gives it no probability.
            wide = np.zeros((len(prediction), self.n_outputs))
            wide[:, self.present] = prediction
            prediction = wide
        if self.scale is not None:
            prediction = self.scale.inverse(prediction)
        if self.target is not None:
            prediction = self.target.inverse(prediction)
        return prediction


def fit_context(setting: Setting, positions: np.ndarray, threads: int, deadline: Deadline) -> FitContext:
    """Build the context for fitting on the rows at `positions` (into the dataset)."""

    def inner_folds(n_folds: int) -> Sequence[Positions]:
        return setting.split.inner_folds(positions, n_folds, setting.seed)

    return FitContext(setting.task, setting.shape, setting.seed, threads, deadline, inner_folds)


def fit_table_block(block: Block, table: Table, y: np.ndarray, context: FitContext) -> tuple[Table, Transform]:
    """Fit one table block on training rows; returns the transformed training table and the fitted transform."""
    component = registry.component(block.slot, block.component)
    if component.fit_table is None:
        raise TypeError(f"{block.name} is not a table component")
    return component.fit_table(table, y, {**component.defaults, **dict(block.params)}, context)


def inner_fraction(n_rows: int) -> float:
    """Share of a training fold held out to choose the number of rounds: enough rows to decide, no more than needed."""
    return float(np.clip(2000 / max(n_rows, 1), 0.08, 0.2))


def model_params(model: Model, block: Block, shape: DataShape) -> ParamDict:
    """The learner's defaults for this shape, overridden by the block's parameters."""
    return {**model.defaults(shape), **dict(block.params)}


def fit_adapted(
    setting: Setting,
    solution: Solution,
    X: pd.DataFrame,
    adapter: Adapter,
    transforms: list[Transform],
    y: np.ndarray,
    positions: np.ndarray,
    threads: int,
    deadline: Deadline,
    rounds: int | None = None,
) -> FittedSolution:
    """Fit what follows the adapter on training rows as the learner takes them.

    Parameters
    ----------
    X : DataFrame (n_rows, n_inputs)
        Training rows after table blocks and adapter; left as they are.
    adapter, transforms
        What made them, to be used on new rows.
    y : ndarray (n_rows,)
        Their targets.
    positions : ndarray (n_rows,)
        Their positions in the dataset, for inner splits.
    rounds : int, optional
        Fixed number of rounds of an iterative learner; then no rows are held out to choose it.
    """
    start = time.monotonic()
    context = fit_context(setting, positions, threads, deadline)
    regression = not setting.task.is_classification
    present = np.arange(1) if regression else np.unique(y)
    block = solution.model
    if len(np.unique(y)) < 2:
        # Rows with one target value teach no learner anything, and most of them refuse such rows.
        block = Block.of("model", "dummy")
    model = registry.model(block.component)
    target, scale, fitted_y, weight = _fitted_target(setting, solution.block("target"), y, context)

    def fit(fit_rows: np.ndarray | None, early_rows: np.ndarray | None, rounds: int | None) -> FittedModel:
        """Fit the learner on some of the rows (None: all), stopping early on others."""
        rows = slice(None) if fit_rows is None else fit_rows
        part_y = fitted_y[rows]
        part_weight = None if weight is None else weight[rows]
        early = None
        if early_rows is not None and len(early_rows):
            early = EarlyStopping(
                X.iloc[early_rows],
                _compact(fitted_y[early_rows], present, regression),
                None if weight is None else weight[early_rows],
            )
        return model.fit(
            TrainingData(
                X=X.iloc[rows],
                y=_compact(part_y, present, regression),
                weight=part_weight,
                kind=setting.task.kind,
                n_classes=0 if regression else len(present),
                metric=setting.task.metric,
                params=model_params(model, block, setting.shape),
                seed=setting.seed,
                threads=threads,
                deadline=deadline,
                early=early,
                rounds=rounds,
                inner_folds=fit_context(setting, positions[rows], threads, deadline).inner_folds,
            )
        )

    post_block = solution.block("post")
    wants_early = model.early_stopping and rounds is None
    fit_rows = held = None
    post = registry.component("post", post_block.component) if post_block is not None else None
    needs_unseen = post is not None and not post.reads_targets_only
    if wants_early or needs_unseen:
        fit_rows, held = setting.split.inner_holdout(positions, inner_fraction(len(y)), setting.seed)
        unseen = np.zeros(len(held), dtype=bool) if regression else ~np.isin(y[held], y[fit_rows])
        # Every class must be seen in fitting: held-out rows of one that would not be are fitted too.
        fit_rows, held = np.concatenate([fit_rows, held[unseen]]), held[~unseen]
        if len(held) == 0 or (unseen.any() and len(np.unique(y[held])) < 2):
            fit_rows, held = None, None
    part = FittedSolution(
        solution, setting.task.n_outputs, regression, transforms, adapter, present, target,
        fit(fit_rows, held if wants_early else None, rounds), None, scale=scale,
    )  # fmt: skip
    if post is not None and post_block is not None:
        if post.fit_post is None:
            raise TypeError(f"{post_block.name} is not a post component")
        params = {**post.defaults, **dict(post_block.params)}
        if not needs_unseen:
            part.post = post.fit_post(np.empty((0, setting.task.n_outputs)), y, params, context)
        elif held is not None:
            part.post = post.fit_post(part._raw(X.iloc[held]), y[held], params, context)
            if rounds is not None or not wants_early:
                # The correction is known now; the learner itself may have all rows.
                part.model = fit(None, None, rounds)
    part.seconds = time.monotonic() - start
    return part


def _fitted_target(
    setting: Setting, block: Block | None, y: np.ndarray, context: FitContext
) -> tuple[TargetTransform | None, UnitScale | None, np.ndarray, np.ndarray | None]:
    """Fit what stands between the targets and the learner; returns it with the values to learn and the rows' weights."""
    target: TargetTransform | None = None
    fitted_y, weight = y, None
    if block is None and setting.task.metric.key == "rmsle":
        # What is squared are differences of logarithms.
        block = Block.of("target", "log1p")
    if block is not None:
        component = registry.component("target", block.component)
        if component.fit_target is None:
            raise TypeError(f"{block.name} is not a target component")
        target = component.fit_target(y, {**component.defaults, **dict(block.params)}, context)
        fitted_y, weight = target.transform(y), target.weights(y)
    if setting.task.metric.key == "mape":
        # Errors count in proportion to the value: the best constant is the median by these weights, well below the plain one.
        relative = (1.0 if weight is None else weight) / np.abs(y)
        weight = np.asarray(relative / relative.mean())
    scale = None if setting.task.is_classification else UnitScale.of(fitted_y)
    return target, scale, fitted_y if scale is None else scale.apply(fitted_y), weight


def _compact(y: np.ndarray, present: np.ndarray, regression: bool) -> np.ndarray:
    """Class codes → 0…k−1 among the classes present; values stay."""
    return y if regression else np.searchsorted(present, y).astype(np.int64)


class TrainingRows:
    """The rows a final model is fitted on, after table blocks: members that begin with the same blocks share their transforms.

    A table after some blocks is kept only while a solution still to be fitted can start from it: on a million rows each is large.

    Parameters
    ----------
    table : Table (n_rows of the dataset, …)
    y : ndarray (n_rows of the dataset,)
    positions : ndarray of int
        The rows to fit on.
    solutions : sequence of Solution
        What will be fitted on them, in this order.
    """

    def __init__(
        self,
        setting: Setting,
        table: Table,
        y: np.ndarray,
        positions: np.ndarray,
        threads: int,
        deadline: Deadline,
        solutions: Sequence[Solution],
    ) -> None:
        self.setting = setting
        self.y = y[positions]
        self.positions = positions
        self.threads = threads
        self.deadline = deadline
        self._whole = table, y
        self._waiting = list(solutions)
        self._context = fit_context(setting, positions, threads, deadline)
        self._after: dict[tuple[Block, ...], tuple[Table, list[Transform]]] = {}
        self._adapters: dict[tuple[tuple[Block, ...], tuple[bool, bool]], Adapter] = {}

    def enough_for(self, solution: Solution) -> TrainingRows:
        """Return these rows, or a sample of them where the solution's learner gains nothing from more."""
        most = registry.model(solution.model.component).most_rows
        if most is None or len(self.positions) <= most:
            return self
        self.done_with(solution)
        sample = self.setting.split.sample(self.positions, most / len(self.positions))
        return TrainingRows(self.setting, *self._whole, sample, self.threads, self.deadline, [solution])

    def after(self, blocks: tuple[Block, ...]) -> tuple[Table, list[Transform]]:
        """Return the rows after these table blocks, and the fitted transforms."""
        found = self._after.get(blocks)
        if found is None and not blocks:
            found = (self._whole[0].take(self.positions), [])
        elif found is None:
            rows, transforms = self.after(blocks[:-1])
            rows, transform = fit_table_block(blocks[-1], rows, self.y, self._context)
            found = (rows, [*transforms, transform])
        self._after[blocks] = found
        self._forget()
        return found

    def adapter(self, solution: Solution) -> Adapter:
        """Return the adapter of a solution's learner; learners that need the same of the same table share it, fitted once."""
        needs = registry.model(solution.model.component).needs
        key = solution.prefix, needs.form
        if key not in self._adapters:
            self._adapters[key] = Adapter.fit(self.after(solution.prefix)[0], needs)
        return self._adapters[key]

    def done_with(self, solution: Solution) -> None:
        """Let go of what only this solution needed."""
        if solution in self._waiting:
            self._waiting.remove(solution)
            self._forget()

    def _forget(self) -> None:
        """Keep what is the longest known beginning of a solution that waits."""
        longest = {
            max((blocks for blocks in self._after if solution.prefix[: len(blocks)] == blocks), key=len, default=())
            for solution in self._waiting
        }
        self._after = {blocks: found for blocks, found in self._after.items() if blocks in longest}


def fit_solution(
    rows: TrainingRows, solution: Solution, rounds: int | None = None, factors: Factors = ()
) -> FittedSolution:
    """Fit a whole solution; the final fit of a run. `rounds` as in `fit_adapted`, `factors` as in `FittedSolution`."""
    start = time.monotonic()
    enough = rows.enough_for(solution)
    table, transforms = enough.after(solution.prefix)
    adapter = enough.adapter(solution)
    fitted = fit_adapted(
        enough.setting, solution, adapter.apply(table), adapter, transforms, enough.y, enough.positions, enough.threads,
        enough.deadline, rounds,
    )  # fmt: skip
    enough.done_with(solution)
    fitted.n_rows, fitted.factors = len(enough.positions), factors
    fitted.seconds = time.monotonic() - start
    return fitted


def predict_together(members: Sequence[FittedSolution], table: Table) -> np.ndarray:
    """Predictions (n_members, n_rows, n_outputs); transforms and adapters that members share are applied once."""
    done: dict[tuple[int, ...], Table] = {(): table}
    adapted: dict[int, pd.DataFrame] = {}
    waiting = Counter(id(member.adapter) for member in members)
    stack = []
    for member in members:
        path: tuple[int, ...] = ()
        for transform in member.transforms:
            longer = (*path, id(transform))
            if longer not in done:
                done[longer] = transform.apply(done[path])
            path = longer
        adapter = id(member.adapter)
        if adapter not in adapted:
            adapted[adapter] = member.adapter.apply(done[path])
        stack.append(member.predict_adapted(adapted[adapter]))
        waiting[adapter] -= 1
        if not waiting[adapter]:
            del adapted[adapter]
    return np.stack(stack)
