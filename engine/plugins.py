"""The plug-in contracts: what a learner, a block component, an ensemble strategy and a validation check export.

Each kind is a frozen dataclass with functions in it. A plug-in file imports the shared types of `engine` and third-party
libraries, never a sibling; libraries other than numpy, pandas, scipy and scikit-learn are imported inside functions and named
in `requires`, so that a missing one makes the plug-in unavailable with a reason instead of breaking the import.

Everything fitted must survive joblib's dump and load in a fresh process: module-level classes and functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .deadline import Deadline
from .roles import Role
from .shape import DataShape
from .solution import Block, ParamValue, Slot
from .task import Metric, Task, TaskKind

if TYPE_CHECKING:
    import numpy as np
    import optuna
    import pandas as pd

    from .experiment import Experiment
    from .table import Table

ALL_TASKS: frozenset[TaskKind] = frozenset({"binary", "multiclass", "regression"})
ParamDict = dict[str, ParamValue]
Space = Callable[["optuna.Trial", DataShape], ParamDict]
"""Suggest parameters with `trial.suggest_*`, using the parameters' own names; bounds may depend on the shape."""

Positions = tuple["np.ndarray", "np.ndarray"]
"""(fit, held-out) integer positions."""


def no_space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Search space of a component without parameters."""
    return {}


# --- block components -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FitContext:
    """What a component or learner may know beside its data. Functions must not keep it in what they return.

    `inner_folds(n)` gives n pairs of positions inside the rows at hand that respect the run's split (groups stay whole, time
    stays ordered): use it for every cross-fitted statistic.
    """

    task: Task
    shape: DataShape
    seed: int
    threads: int
    deadline: Deadline
    inner_folds: Callable[[int], Sequence[Positions]]


class Transform(Protocol):
    """A fitted table transform. `apply` is deterministic, accepts unseen levels and missing values, keeps the row order
    and returns the same columns in the same order every time, the ones its fit returned for the training rows."""

    def apply(self, table: Table) -> Table:
        """Transform rows that were not seen in fitting."""


class TargetTransform(Protocol):
    """A fitted target transform."""

    def transform(self, y: np.ndarray) -> np.ndarray:
        """Training targets (n_rows,) → the values the learner fits."""

    def weights(self, y: np.ndarray) -> np.ndarray | None:
        """Sample weights (n_rows,) with mean 1, or None for equal weights."""

    def inverse(self, prediction: np.ndarray) -> np.ndarray:
        """Raw predictions (n_rows, n_outputs) → the target's own scale."""


class PostTransform(Protocol):
    """A fitted correction of predictions."""

    def apply(self, prediction: np.ndarray) -> np.ndarray:
        """(n_rows, n_outputs) → (n_rows, n_outputs); probabilities stay probabilities that sum to 1."""


TableFit = Callable[["Table", "np.ndarray", ParamDict, FitContext], tuple["Table", Transform]]
"""(training table, y (n_rows,), parameters, context) → (transformed training table, fitted transform). The training table that
comes back may be cross-fitted, so it need not equal `transform.apply(table)`."""
TargetFit = Callable[["np.ndarray", ParamDict, FitContext], TargetTransform]
"""(training y (n_rows,), parameters, context) → fitted target transform."""
PostFit = Callable[["np.ndarray", "np.ndarray", ParamDict, FitContext], PostTransform]
"""(predictions (n_rows, n_outputs) for rows the learner did not see, their y, parameters, context) → fitted correction."""


def always(shape: DataShape) -> str | None:
    """Applies to every dataset."""
    return None


def same(shape: DataShape) -> DataShape:
    """Leaves the shape about as it is."""
    return shape


@dataclass(frozen=True)
class Component:
    """A choice for a slot.

    A solution holds at most one component of each `group` of a slot: components of one group are alternatives (impute_median and
    impute_mean are both `impute`), components of different groups stack in the order `order`, small first.

    `applies(shape)` returns None, or the reason why the component would do nothing or fail here ("no date columns"). Exactly one of
    `fit_table`, `fit_target`, `fit_post` is set, according to the slot.
    """

    key: str
    slot: Slot
    group: str
    title: str
    summary: str
    order: int = 50
    defaults: Mapping[str, ParamValue] = field(default_factory=dict)
    space: Space = no_space
    tasks: frozenset[TaskKind] = ALL_TASKS
    applies: Callable[[DataShape], str | None] = always
    widens: Callable[[DataShape], DataShape] = same
    """The shape that a learner meets after it, for what a fit will cost; only where it has many times as many columns."""
    requires: tuple[str, ...] = ()
    fit_table: TableFit | None = None
    fit_target: TargetFit | None = None
    fit_post: PostFit | None = None
    reads_targets_only: bool = False
    """`fit_post` needs no predictions: it gets none, and all training targets instead of those of held-out rows."""


# --- learners ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Needs:
    """What a learner demands of its input. The pipeline's adapter supplies the first two minimally (ordinal codes, median
    imputation) where no block did, so that every combination of blocks runs; scaling and one-hot are only defaults."""

    numeric_only: bool = True
    """False: the learner takes pandas `category` columns itself."""
    no_missing: bool = True
    """False: the learner takes NaN itself."""
    scaling: bool = False
    """The default solution scales numbers and encodes categories one-hot."""
    bins: bool = False
    """It gains from numbers taken piecewise where there are rows enough for that."""
    target_statistics: bool = False
    """The learner makes target statistics of categories itself: an encoding that another learner gains from takes that away."""

    @property
    def form(self) -> tuple[bool, bool]:
        """What the form of the input depends on."""
        return self.numeric_only, self.no_missing


@dataclass(frozen=True)
class EarlyStopping:
    """Rows held out of the training fold to choose the number of rounds; never rows a score is computed on."""

    X: pd.DataFrame
    y: np.ndarray
    weight: np.ndarray | None = None


@dataclass(frozen=True)
class TrainingData:
    """One fit. Columns of `X` are float32, plus `category` where the learner does without `numeric_only`; their names are
    `f0`, `f1`, …, so that no library meets a name it refuses. `y` is float64 for regression, int64 codes 0…k−1 with every class
    present for classification (k = `n_classes`, which may be smaller than the task's where a fold lacks a class).

    With `early` the learner may stop early; with `rounds` it must fit exactly so many rounds and gets no `early`. `inner_folds(n)`
    gives up to n pairs of positions in these rows that respect the run's split, for a learner that chooses a setting itself; None
    outside a run.
    """

    X: pd.DataFrame
    y: np.ndarray
    weight: np.ndarray | None
    kind: TaskKind
    n_classes: int
    metric: Metric
    params: ParamDict
    seed: int
    threads: int
    deadline: Deadline
    early: EarlyStopping | None = None
    rounds: int | None = None
    inner_folds: Callable[[int], Sequence[Positions]] | None = None


class FittedModel(Protocol):
    """A fitted learner."""

    @property
    def rounds(self) -> int | None:
        """Rounds used by an iterative learner, for the refit on all rows; None for others."""

    @property
    def cut(self) -> bool:
        """True if the deadline stopped the fit before its own criterion did."""

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """(n_rows, n_columns) → float64 (n_rows, n_classes) probabilities, or (n_rows, 1) values."""


@dataclass
class EstimatorModel:
    """A fitted scikit-learn-compatible estimator as a `FittedModel`."""

    estimator: Any
    kind: TaskKind
    rounds: int | None = None
    cut: bool = False

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Probabilities (n_rows, n_classes) or values (n_rows, 1), float64."""
        import numpy as np

        if self.kind == "regression":
            return np.asarray(self.estimator.predict(X), dtype=np.float64).reshape(-1, 1)
        return np.asarray(self.estimator.predict_proba(X), dtype=np.float64)


Family = Literal["dummy", "linear", "neighbors", "bayes", "svm", "tree", "forest", "boosting", "network"]


def no_params(shape: DataShape) -> ParamDict:
    """Defaults of a learner without parameters."""
    return {}


def no_variants(shape: DataShape) -> Sequence[ParamDict]:
    """Variants of a learner that has one good setting."""
    return ()


@dataclass(frozen=True)
class Quicker:
    """Parameters that make a fit take this share of its usual time, at some loss of accuracy."""

    params: ParamDict
    share: float


def no_quicker(shape: DataShape) -> Quicker | None:
    """For a learner without such parameters."""
    return None


@dataclass(frozen=True)
class Model:
    """A learner.

    `cost(shape)` is a rough prior of seconds per fit on one core for `shape.n_rows` rows, used before anything was measured.
    `applies(shape)` returns None, or why the learner should not be tried here ("RBF kernels need 5,000 rows or fewer").
    `variants(shape)` are further settings that are strong on many tables and differ from the defaults, best first; tried as
    initial solutions with time left, because an ensemble of settings known to be good beats a search in the same minute.
    `quicker(shape)` is what to take instead of the defaults where these do not fit into the time; None: there is nothing like it.
    A fit must look at `data.deadline` between rounds wherever the library allows it, stop in time and set `cut`.
    """

    key: str
    title: str
    family: Family
    summary: str
    needs: Needs
    fit: Callable[[TrainingData], FittedModel]
    cost: Callable[[DataShape], float]
    defaults: Callable[[DataShape], ParamDict] = no_params
    variants: Callable[[DataShape], Sequence[ParamDict]] = no_variants
    quicker: Callable[[DataShape], Quicker | None] = no_quicker
    space: Space = no_space
    tasks: frozenset[TaskKind] = ALL_TASKS
    applies: Callable[[DataShape], str | None] = always
    priority: int = 50
    """Place in the order in which learners are tried, small first: strong, fast and different from those before it."""
    most_rows: int | None = None
    """More rows teach it nothing that is worth their memory; the final fit draws so many by the split's rule."""
    early_stopping: bool = False
    """True: wants `EarlyStopping` rows when none of the rounds is fixed."""
    open_params: bool = False
    """True: takes the library's own parameters beside those of its defaults."""
    requires: tuple[str, ...] = ()


# --- ensemble strategies ----------------------------------------------------------------------------------------------


class FittedEnsemble(Protocol):
    """A fitted way to combine member predictions."""

    weights: tuple[float, ...] | None
    """Share of each member, or None where it has none. A member of share 0.0 need not be kept, and where members are missing the
    mean by these shares can stand for the strategy."""

    def combine(self, stack: np.ndarray) -> np.ndarray:
        """Member predictions (n_members, n_rows, n_outputs) → (n_rows, n_outputs)."""


@dataclass(frozen=True)
class Ensemble:
    """An ensemble strategy. `fit(stack, y, task, seed)` sees out-of-fold predictions `(n_members, n_rows, n_outputs)` only; the
    engine cross-fits it over the folds for its honest score and fits it once more on all rows to use it."""

    key: str
    title: str
    summary: str
    fit: Callable[[np.ndarray, np.ndarray, Task, int], FittedEnsemble]
    priority: int = 50
    """Place in the order in which strategies are tried, small first."""
    members: Literal["all", "few", "one_per_learner"] = "all"
    """Which members of the pool it gets. `one_per_learner` says that it weighs them equally, which is all that is trusted where
    time orders the folds; `few` that it extrapolates from many."""
    tasks: frozenset[TaskKind] = ALL_TASKS
    requires: tuple[str, ...] = ()
    aims_at: frozenset[str] | None = None
    """Metrics that it serves, by key; None: any. It is tried last under another."""
    averages: bool = True
    """False: members have shares, but the outcome is more than the mean by them. The final model then fits the strategy again on
    the members that have a share, which must give the same."""


# --- validation checks ------------------------------------------------------------------------------------------------

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True)
class Finding:
    """What a check reports: stable code, severity, evidence in numbers, and what to do."""

    code: str
    severity: Severity
    title: str
    evidence: str
    action: str


@dataclass(frozen=True)
class NotApplicable:
    """The check cannot be computed here; never counted as passed."""

    reason: str


@dataclass(frozen=True)
class Check:
    """A validation check over an experiment; it reads, never fits on sealed rows and never changes anything.

    `run` returns the findings (empty: looked and found nothing), or `NotApplicable`. `stage` says whether it needs only the data
    (`data`, so it may run beside the ensemble) or the chosen solution (`model`).
    """

    code: str
    title: str
    summary: str
    stage: Literal["data", "model"]
    run: Callable[[Experiment], Sequence[Finding] | NotApplicable]


__all__ = [
    "ALL_TASKS",
    "Block",
    "Check",
    "Component",
    "EarlyStopping",
    "Ensemble",
    "EstimatorModel",
    "Finding",
    "FitContext",
    "FittedEnsemble",
    "FittedModel",
    "Model",
    "Needs",
    "NotApplicable",
    "ParamDict",
    "PostTransform",
    "Role",
    "TargetTransform",
    "TrainingData",
    "Transform",
    "always",
    "no_params",
    "no_space",
]
