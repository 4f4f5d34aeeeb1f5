"""The final model: fitted solutions and the way they are combined, saved with a manifest, loaded in a fresh process.

A saved model is a folder: `model.joblib`, `schema.json` (what rows must look like), `about.json` (task, score, environment) and
`manifest.json` with the SHA-256 of each. `load` refuses a folder that does not match its manifest. That guards against damage and
mix-ups, not against an attacker who rewrites the manifest too: joblib files can execute code, so load only folders you made.
"""

from __future__ import annotations

import gc
import hashlib
import importlib.metadata
import json
import platform
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from .corrections import undo
from .errors import InvalidInput, NotFound, Refused, UnreadCells
from .issue import Issue
from .pipeline import FittedSolution, predict_together
from .plugins import FittedEnsemble
from .schema import Schema
from .table import Table

_FILES = ("model.joblib", "schema.json", "about.json")
_ROWS_AT_ONCE = 50_000
_FEW_ROWS = 100
_ENVIRONMENT = (
    "mle-star-mcp", "numpy", "pandas", "scikit-learn", "scipy", "lightgbm", "xgboost", "xgboost-cpu", "catboost",
)  # fmt: skip


@dataclass
class FinalModel:
    """Fitted members and the way they are combined; `predict` takes rows as a user has them."""

    schema: Schema
    target: str
    regression: bool
    classes: tuple[str, ...]
    members: list[FittedSolution]
    weights: tuple[float, ...] | None
    ensemble: FittedEnsemble | None
    n_rows: int

    def predict_table(self, table: Any) -> np.ndarray:
        """Typed feature rows (a `Table`) → (n_rows, n_outputs), corrected for the metric: the greatest chance names the class."""
        return self._combine(predict_together(self.members, table))

    def _combine(self, stack: np.ndarray) -> np.ndarray:
        if self.weights is not None:
            return np.asarray(np.average(stack, axis=0, weights=self.weights))
        if self.ensemble is None:
            raise InvalidInput("this model has neither weights nor an ensemble; it is damaged, fit it again")
        return self.ensemble.combine(stack)

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Raw rows → `prediction`, and `proba_<label>` per class for classification; one row per input row, in order.

        Where the metric rewards decisions (F1, balanced accuracy), the class named need not be the likeliest one.
        Warns (`UnreadCells`) of cells that cannot be read as the training table's were; they count as missing.
        """
        with _collector_at_rest() if len(frame) <= _FEW_ROWS else nullcontext():
            return self._predict(frame)

    def _predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        # In parts: what blocks make of a row, one-hot columns above all, can be many times as large as the row.
        parts = [frame.iloc[start : start + _ROWS_AT_ONCE] for start in range(0, max(len(frame), 1), _ROWS_AT_ONCE)]
        predictions: list[np.ndarray] = []
        chances: list[np.ndarray] = []
        lost: dict[str, list[Issue]] = {}
        for part in parts:
            typed, issues = self.schema.read(part)
            for issue in issues:
                lost.setdefault(str(issue.column), []).append(issue)
            stack = predict_together(self.members, Table(typed, self.schema.roles))
            predictions.append(self._combine(stack))
            chances.append(self._chances(stack, predictions[-1]))
        for found in lost.values():
            warnings.warn(_lost(found), UnreadCells, stacklevel=3)
        prediction = np.concatenate(predictions)
        if self.regression:
            return pd.DataFrame({"prediction": prediction[:, 0]})
        labels = np.asarray(self.classes, dtype=object)[prediction.argmax(axis=1)]
        chance = np.concatenate(chances)
        probabilities = {f"proba_{label}": chance[:, code] for code, label in enumerate(self.classes)}
        return pd.DataFrame({"prediction": labels, **probabilities})

    def _chances(self, stack: np.ndarray, combined: np.ndarray) -> np.ndarray:
        """Chances (n_rows, n_classes) of these predictions of the members, without the correction that names the class; a stack of
        learners knows only corrected ones."""
        has_shares = self.weights is not None or (self.ensemble is not None and self.ensemble.weights is not None)
        if self.regression or not has_shares or not any(member.factors for member in self.members):
            return combined
        plain = [undo(one, member.factors) for one, member in zip(stack, self.members, strict=True)]
        return self._combine(np.stack(plain))


def _lost(issues: Sequence[Issue]) -> str:
    """What was lost of one column, in the parts of a large file together."""
    if len(issues) == 1:
        return issues[0].message
    count = sum(issue.count for issue in issues)
    return f"{count} cells of {issues[0].column} cannot be read and count as missing; at first {issues[0].message}"


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Hold Python's garbage collector back for the milliseconds of a few rows: the columns that blocks make of a row live just long
    enough to be taken for lasting, and after every few rows it would look through all objects of the process, for 50 ms."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def save(model: FinalModel, folder: Path, about: dict[str, Any] | None = None) -> None:
    """Write a model folder; it appears complete or not at all, and replaces an older one."""
    staging = folder.with_name(f".{folder.name}-{time.time_ns()}")
    staging.mkdir(mode=0o700, parents=True)
    joblib.dump(model, staging / "model.joblib", compress=1)
    (staging / "schema.json").write_text(json.dumps(model.schema.to_json(), indent=1))
    described = {
        **(about or {}),
        "target": model.target,
        "classes": list(model.classes),
        "rows": model.n_rows,
        "solutions": [member.solution.to_json() for member in model.members],
        "python": platform.python_version(),
        "environment": _installed(_ENVIRONMENT),
    }
    (staging / "about.json").write_text(json.dumps(described, indent=1))
    manifest = {name: _sha256(staging / name) for name in _FILES}
    (staging / "manifest.json").write_text(json.dumps(manifest, indent=1))
    if folder.exists():
        outdated = folder.with_name(f".{folder.name}-old-{time.time_ns()}")
        folder.rename(outdated)
        staging.rename(folder)
        for path in outdated.iterdir():
            path.unlink()
        outdated.rmdir()
    else:
        staging.rename(folder)


def load(folder: Path) -> FinalModel:
    """Load a saved model; raises `NotFound` where there is none and `Refused` where a file does not match the manifest."""
    manifest_path = folder / "manifest.json"
    if not manifest_path.is_file():
        inside = folder / "model"
        hint = (
            f"did you mean {inside}?"
            if (inside / "manifest.json").is_file()
            else "pass the model folder of a finished run"
        )
        raise NotFound(f"{folder} is not a model folder: it has no manifest.json; {hint}")
    try:
        manifest = json.loads(manifest_path.read_text())
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict):
        raise Refused(f"{folder.name}/manifest.json is damaged; take the folder from the run again")
    for name in _FILES:
        if not (folder / name).is_file() or manifest.get(name) != _sha256(folder / name):
            raise Refused(f"{folder.name}/{name} does not match its manifest; take the folder from the run again")
    here = _installed(_ENVIRONMENT)
    then = json.loads((folder / "about.json").read_text())["environment"]
    try:
        model = joblib.load(folder / "model.joblib")
    except Exception as error:
        other = ", ".join(
            f"{name} {then[name]}, here {here.get(name, 'absent')}" for name in then if then[name] != here.get(name)
        )
        raise Refused(
            f"the model could not be loaded ({type(error).__name__}); it was made with "
            f"{other or 'the same versions by an earlier build of this package: fit it again'}"
        ) from error
    if not isinstance(model, FinalModel):
        raise Refused(f"{folder.name}/model.joblib does not hold a model of this package")
    return model


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _installed(names: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
