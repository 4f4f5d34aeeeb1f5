"""Free text becomes a few numbers per column: TF-IDF of words or character pieces, reduced by truncated SVD (LSA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.extmath import randomized_svd

from ...plugins import Component, FitContext, ParamDict
from ...roles import Role
from ...shape import DataShape
from ...table import Table
from ..applicability import needs_text
from ..numbers import add_numbers, fresh_names

if TYPE_CHECKING:
    import optuna

_FIT_ROWS = 50_000


@dataclass(frozen=True)
class _Space:
    """A vocabulary and its projection: `axes` (n_terms, n_components) float32."""

    vectorizer: TfidfVectorizer
    axes: np.ndarray

    def project(self, texts: list[str]) -> np.ndarray:
        """Texts → (n_texts, n_components)."""
        return np.asarray(self.vectorizer.transform(texts) @ self.axes)


@dataclass(frozen=True)
class TextTopics:
    """Fitted spaces per text column; a column without any word has none."""

    spaces: dict[str, tuple[_Space, ...]]
    outputs: tuple[str, ...]

    def apply(self, table: Table) -> Table:
        """Replace the texts by their coordinates and their length in words; a missing text is an empty one."""
        values = []
        for name, spaces in self.spaces.items():
            texts = _texts(table.frame[name])
            values.append(np.array([[text.count(" ") + 1 if text else 0] for text in texts]).reshape(-1, 1))
            values += [space.project(texts) if texts else np.empty((0, space.axes.shape[1])) for space in spaces]
        stacked = np.concatenate(values, axis=1) if values else np.empty((len(table.frame), 0))
        return add_numbers(table.drop(self.spaces), self.outputs, stacked)


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, TextTopics]:
    """Learn vocabularies and projections, from at most 50,000 rows a column."""
    spaces = {}
    analyzers = ("word", "char_wb") if params["analyzer"] == "both" else (str(params["analyzer"]),)
    rows = np.arange(len(table.frame))
    if len(rows) > _FIT_ROWS:
        rows = np.sort(np.random.default_rng(context.seed).choice(rows, _FIT_ROWS, replace=False))
    for name in table.columns(Role.TEXT):
        texts = _texts(table.frame[name].iloc[rows])
        found = (_space(texts, analyzer, params, context.seed) for analyzer in analyzers)
        spaces[name] = tuple(space for space in found if space is not None)
    wanted = [
        output
        for name, chosen in spaces.items()
        for output in (
            f"{name}:words",
            *(f"{name}:topic{i}" for i in range(sum(space.axes.shape[1] for space in chosen))),
        )
    ]
    transform = TextTopics(spaces, tuple(fresh_names(table, wanted)))
    return transform.apply(table), transform


def _space(texts: list[str], analyzer: str, params: ParamDict, seed: int) -> _Space | None:
    """Fit one space; None where the texts hold no term."""
    vectorizer = TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=(1, 2) if analyzer == "word" else (3, 4),
        min_df=2 if len(texts) > 20 else 1,
        max_features=int(params["max_terms"] or 0),
        sublinear_tf=True,
        strip_accents="unicode",
        dtype=np.float32,
    )
    try:
        weights = vectorizer.fit_transform(texts)
    except ValueError:
        # Raised for an empty vocabulary: no text, or no term in two of them.
        return None
    n_components = min(int(params["n_components"] or 0), weights.shape[1] - 1, weights.shape[0])
    if n_components < 1:
        return _Space(vectorizer, np.eye(weights.shape[1], dtype=np.float32))
    _, _, axes = randomized_svd(weights, n_components, n_iter=4, random_state=seed)
    return _Space(vectorizer, axes.T.astype(np.float32))


def _texts(series: pd.Series) -> list[str]:
    return [str(text) for text in series.fillna("").to_list()]


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Words or character pieces, and how many numbers come out."""
    return {
        "analyzer": trial.suggest_categorical("analyzer", ["word", "char_wb", "both"]),
        "n_components": trial.suggest_int("n_components", 4, 100, log=True),
    }


COMPONENT = Component(
    key="text_tfidf",
    slot="features",
    group="text",
    title="Text by TF-IDF and SVD",
    summary="Turns each free text column into its length and a few topic coordinates; without it free text is not used at all.",
    order=30,
    defaults={"analyzer": "word", "n_components": 20, "max_terms": 5000},
    space=space,
    applies=needs_text,
    fit_table=fit,
)
