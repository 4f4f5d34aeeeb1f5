"""Tasks and metrics. A metric carries its direction, so that no caller compares scores by hand.

Light on import: scikit-learn is loaded by the first score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np

TaskKind = Literal["binary", "multiclass", "regression"]
CLASSIFICATION: frozenset[TaskKind] = frozenset({"binary", "multiclass"})

ScoreFunction = Callable[["np.ndarray", "np.ndarray"], float]
"""(y_true (n_rows,), prediction (n_rows, n_outputs)) → score; class codes and probabilities, or values (n_rows, 1)."""


@dataclass(frozen=True)
class Metric:
    """A named score with its direction and the tasks it fits."""

    key: str
    title: str
    greater_is_better: bool
    tasks: frozenset[TaskKind]
    function: ScoreFunction

    def score(self, y: np.ndarray, prediction: np.ndarray) -> float:
        """Score predictions `(n_rows, n_outputs)` against `y (n_rows,)`."""
        return float(self.function(y, prediction))

    def gain(self, new: float, old: float) -> float:
        """How much better `new` is than `old`, in the metric's units; negative when worse."""
        return new - old if self.greater_is_better else old - new

    def better(self, new: float, old: float) -> bool:
        """Whether `new` is strictly better than `old`."""
        return self.gain(new, old) > 0.0


@dataclass(frozen=True)
class Task:
    """What is predicted and how it is scored. `classes` are the labels in code order, empty for regression."""

    kind: TaskKind
    metric: Metric
    classes: tuple[str, ...] = ()

    @property
    def n_outputs(self) -> int:
        """Columns of a prediction: one per class, or one for regression."""
        return len(self.classes) if self.is_classification else 1

    @property
    def is_classification(self) -> bool:
        """True for binary and multiclass tasks."""
        return self.kind in CLASSIFICATION


def _roc_auc(y: np.ndarray, prediction: np.ndarray) -> float:
    import numpy as np
    from sklearn.metrics import roc_auc_score

    if prediction.shape[1] == 2:
        return float(roc_auc_score(y == 1, prediction[:, 1]))
    present = np.unique(y)
    values = [roc_auc_score(y == code, prediction[:, code]) for code in present]
    return float(np.mean(values))


def _log_loss(y: np.ndarray, prediction: np.ndarray) -> float:
    import numpy as np

    clipped = np.clip(prediction.astype(np.float64), 1e-15, None)
    clipped /= clipped.sum(axis=1, keepdims=True)
    return float(-np.log(clipped[np.arange(len(y)), y.astype(np.int64)]).mean())


def _labels(name: str, **options: object) -> ScoreFunction:
    """Wrap a scikit-learn metric on labels."""

    def score(y: np.ndarray, prediction: np.ndarray) -> float:
        from sklearn import metrics

        return float(getattr(metrics, name)(y, prediction.argmax(axis=1), **options))

    return score


def _values(name: str) -> ScoreFunction:
    """Wrap a scikit-learn metric on regression values."""

    def score(y: np.ndarray, prediction: np.ndarray) -> float:
        from sklearn import metrics

        return float(getattr(metrics, name)(y, prediction[:, 0]))

    return score


def _average_precision(y: np.ndarray, prediction: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(y == 1, prediction[:, 1]))


def _brier(y: np.ndarray, prediction: np.ndarray) -> float:
    from sklearn.metrics import brier_score_loss

    return float(brier_score_loss(y == 1, prediction[:, 1]))


def _rmsle(y: np.ndarray, prediction: np.ndarray) -> float:
    import numpy as np

    return float(np.sqrt(np.mean((np.log1p(y) - np.log1p(np.clip(prediction[:, 0], 0.0, None))) ** 2)))


_BINARY: frozenset[TaskKind] = frozenset({"binary"})
_REGRESSION: frozenset[TaskKind] = frozenset({"regression"})

METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("roc_auc", "ROC AUC", True, CLASSIFICATION, _roc_auc),
        Metric("log_loss", "log loss", False, CLASSIFICATION, _log_loss),
        Metric("accuracy", "accuracy", True, CLASSIFICATION, _labels("accuracy_score")),
        Metric("balanced_accuracy", "balanced accuracy", True, CLASSIFICATION, _labels("balanced_accuracy_score")),
        Metric("f1", "F1", True, _BINARY, _labels("f1_score", zero_division=0.0)),
        Metric("f1_macro", "macro F1", True, CLASSIFICATION, _labels("f1_score", average="macro", zero_division=0.0)),
        Metric("average_precision", "average precision", True, _BINARY, _average_precision),
        Metric("brier", "Brier score", False, _BINARY, _brier),
        Metric("rmse", "RMSE", False, _REGRESSION, _values("root_mean_squared_error")),
        Metric("mae", "MAE", False, _REGRESSION, _values("mean_absolute_error")),
        Metric("r2", "R²", True, _REGRESSION, _values("r2_score")),
        Metric("mape", "MAPE", False, _REGRESSION, _values("mean_absolute_percentage_error")),
        Metric("rmsle", "RMSLE", False, _REGRESSION, _rmsle),
    )
}

DEFAULT_METRIC: dict[TaskKind, str] = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


def asked_task(task: TaskKind | Literal["auto"], metric: str) -> TaskKind | Literal["auto"]:
    """Return the task that is asked for by name, or by a metric that fits one task alone; else `auto`."""
    tasks = tuple(METRICS[metric].tasks) if metric in METRICS else ()
    return tasks[0] if task == "auto" and len(tasks) == 1 else task


def resolve_metric(name: str, kind: TaskKind) -> Metric:
    """Return the metric for `name` (`auto`: the task's default); raises `InvalidInput` where the two do not fit."""
    metric = METRICS.get(DEFAULT_METRIC[kind] if name == "auto" else name)
    if metric is None or kind not in metric.tasks:
        fitting = sorted(key for key, item in METRICS.items() if kind in item.tasks)
        raise InvalidInput(f"metric {name!r} does not fit a {kind} task; accepted: auto, {', '.join(fitting)}")
    return metric
