"""Greedy selection with replacement (Caruana et al. 2004), bagged over members, on the task's own metric.

Each bag starts from the best of a random half of the members and adds, round by round, the member whose addition scores best; the
weights are how often each was taken. The candidate of the last word is compared on the same rows with the best single member, which
wins ties, so the result is never worse than it there.
"""

from __future__ import annotations

import numpy as np

from ..plugins import Ensemble, FittedEnsemble
from ..task import Task
from ._weighted import FittedWeights

_ROUNDS = 25
_BAGS = 4
_EVALUATED_VALUES = 3_000_000
"""About how many predictions may be scored in all; rows are sampled down to it."""


class _Scorer:
    """Loss (lower is better) of predictions on fixed rows, quick where the metric allows it."""

    def __init__(self, y: np.ndarray, task: Task) -> None:
        self._y = y
        self._task = task
        self._quick_auc = task.kind == "binary" and task.metric.key == "roc_auc"
        self._positive = y == 1
        self._pairs = float(self._positive.sum()) * float((~self._positive).sum())

    def __call__(self, prediction: np.ndarray) -> float:
        if self._quick_auc:
            return -self._auc(prediction[:, 1])
        score = self._task.metric.score(self._y, prediction)
        return -score if self._task.metric.greater_is_better else score

    def _auc(self, scores: np.ndarray) -> float:
        """Mann–Whitney statistic with ties counted half."""
        order = np.argsort(scores, kind="stable")
        ordered = scores[order]
        ranks = np.arange(1.0, len(scores) + 1.0)
        edges = np.flatnonzero(np.diff(ordered)) + 1
        if len(edges) + 1 < len(scores):
            starts = np.concatenate([[0], edges])
            ends = np.concatenate([edges, [len(scores)]])
            ranks = np.repeat((starts + ends + 1) / 2, ends - starts)
        hits = self._positive[order]
        n_positive = hits.sum()
        return float((ranks[hits].sum() - n_positive * (n_positive + 1) / 2) / self._pairs)


def _fit(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:
    if len(stack) == 1:
        return FittedWeights((1.0,))
    random = np.random.default_rng(seed)
    sampled, sampled_y = _sample(stack, y, task, random)
    scorer = _Scorer(sampled_y, task)
    counts = np.zeros(len(stack))
    for _ in range(_BAGS):
        size = max(2, (len(stack) + 1) // 2) if len(stack) > 3 else len(stack)
        members = np.sort(random.choice(len(stack), size, replace=False))
        counts[members] += _select(sampled[members], scorer)
    full = _select(sampled, scorer)
    exact = _Scorer(y, task)
    single = np.eye(len(stack))[int(np.argmin([exact(member) for member in stack]))]
    candidates = [FittedWeights.of(weights) for weights in (single, full, counts + full)]
    losses = [exact(candidate.combine(stack)) for candidate in candidates]
    # Bagged weights generalise better: they are preferred unless they lose to the best member.
    if losses[2] <= losses[0]:
        return candidates[2]
    return candidates[int(np.argmin(losses))]


def _sample(stack: np.ndarray, y: np.ndarray, task: Task, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows few enough for all scorings to take about a second; every class keeps a share."""
    scorings = len(stack) * _ROUNDS * (1 + _BAGS / 2)
    n_rows = int(max(2_000, _EVALUATED_VALUES * 10 / scorings / stack.shape[2]))
    if len(y) <= n_rows:
        return stack, y
    if not task.is_classification:
        rows = random.choice(len(y), n_rows, replace=False)
    else:
        share = n_rows / len(y)
        rows = np.concatenate(
            [
                random.choice(positions, max(min(len(positions), 20), int(share * len(positions))), replace=False)
                for positions in (np.flatnonzero(y == code) for code in np.unique(y))
            ]
        )
    rows = np.sort(rows)
    return stack[:, rows], y[rows]


def _select(stack: np.ndarray, scorer: _Scorer) -> np.ndarray:
    """Return the weights (n_members,), summing to 1, of the best prefix of one greedy run."""
    total = np.zeros(stack.shape[1:])
    counts = np.zeros(len(stack))
    best_loss, best = np.inf, counts
    for size in range(1, _ROUNDS + 1):
        losses = [scorer((total + member) / size) for member in stack]
        winner = int(np.argmin(losses))
        total = total + stack[winner]
        counts = counts.copy()
        counts[winner] += 1
        if losses[winner] < best_loss:
            best_loss, best = losses[winner], counts
        elif size - best.sum() >= 5:
            break
    return np.asarray(best / best.sum())


ENSEMBLE = Ensemble(
    key="greedy",
    title="Greedy selection",
    summary="Adds, with replacement, the member that helps the metric most; bagged over members.",
    fit=_fit,
)
