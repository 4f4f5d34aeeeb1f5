"""Free text becomes numbers: how long it is and what it is made of, the most frequent terms, and topics (TF-IDF of words and of
pieces of words, reduced by truncated SVD; LSA).

Terms suit trees, which cannot take a topic apart; topics suit linear models and networks, and know rare words by their company.
"""

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
_PIECES_AT_MOST = 1_000_000
"""Characters of all texts up to which pieces of words are counted: of more it takes longer than the models that follow."""
_COUNTS = ("words", "characters", "digits", "capitals", "signs")


@dataclass(frozen=True)
class _Space:
    """A vocabulary, its projection `axes` (n_terms, n_components) float32, and the positions of the terms that are shown as they
    are."""

    vectorizer: TfidfVectorizer
    axes: np.ndarray
    shown: np.ndarray | None = None

    @property
    def width(self) -> int:
        """Numbers that a text becomes."""
        return int(self.axes.shape[1]) + (0 if self.shown is None else len(self.shown))

    def project(self, texts: list[str]) -> np.ndarray:
        """Texts → (n_texts, width)."""
        if not texts:
            return np.empty((0, self.width))
        weights = self.vectorizer.transform(texts)
        topics = np.asarray(weights @ self.axes)
        if self.shown is None:
            return topics
        return np.hstack([topics, (weights[:, self.shown] > 0.0).toarray()])


@dataclass(frozen=True)
class TextTopics:
    """Fitted spaces per text column; a column without any word has none."""

    spaces: dict[str, tuple[_Space, ...]]
    outputs: tuple[str, ...]
    n_counts: int = 1
    """How many of the counts of a text there are."""

    def apply(self, table: Table) -> Table:
        """Replace the texts by what they are made of, their coordinates and their terms; a missing text is an empty one."""
        values = []
        for name, spaces in self.spaces.items():
            texts = _texts(table.frame[name])
            values.append(_counts(texts)[:, : self.n_counts])
            values += [space.project(texts) for space in spaces]
        stacked = np.concatenate(values, axis=1) if values else np.empty((len(table.frame), 0))
        return add_numbers(table.drop(self.spaces), self.outputs, stacked)


def fit(table: Table, y: np.ndarray, params: ParamDict, context: FitContext) -> tuple[Table, TextTopics]:
    """Learn vocabularies and projections, from at most 50,000 rows a column."""
    names = table.columns(Role.TEXT)
    rows = np.arange(len(table.frame))
    if len(rows) > _FIT_ROWS:
        rows = np.sort(np.random.default_rng(context.seed).choice(rows, _FIT_ROWS, replace=False))
    read = {name: _texts(table.frame[name].iloc[rows]) for name in names}
    analyzers = _analyzers(str(params["analyzer"]), sum(len(text) for texts in read.values() for text in texts))
    spaces: dict[str, tuple[_Space, ...]] = {}
    wanted: list[str] = []
    for name in names:
        texts = read[name]
        found = [_space(texts, kind, params, context.seed) for kind in analyzers]
        spaces[name] = tuple(space for space in found if space is not None)
        wanted += [f"{name}:{count}" for count in _COUNTS]
        for space in spaces[name]:
            kind = "topic" if space.vectorizer.analyzer == "word" else "pieces"
            wanted += [f"{name}:{kind}{number}" for number in range(space.axes.shape[1])]
            if space.shown is not None:
                wanted += [f"{name}:{term}" for term in space.vectorizer.get_feature_names_out()[space.shown]]
    transform = TextTopics(spaces, tuple(fresh_names(table, wanted)), len(_COUNTS))
    return transform.apply(table), transform


def _analyzers(asked: str, n_characters: int) -> tuple[str, ...]:
    """What is counted; pieces beside words only where they do not take too long."""
    if asked != "both":
        return (asked,)
    return ("word", "char_wb") if n_characters <= _PIECES_AT_MOST else ("word",)


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
    shown = _most_frequent(vectorizer, int(params["n_terms"] or 0)) if analyzer == "word" else None
    n_components = min(int(params["n_components"] or 0), weights.shape[1] - 1, weights.shape[0])
    if n_components < 1:
        return _Space(vectorizer, np.eye(weights.shape[1], dtype=np.float32))
    _, _, axes = randomized_svd(weights, n_components, n_iter=4, random_state=seed)
    return _Space(vectorizer, axes.T.astype(np.float32), shown)


def _most_frequent(vectorizer: TfidfVectorizer, n_terms: int) -> np.ndarray | None:
    """Positions of the terms that are in the most texts, in the order of the vocabulary."""
    if n_terms < 1:
        return None
    return np.sort(np.argsort(vectorizer.idf_, kind="stable")[:n_terms])


def _counts(texts: list[str]) -> np.ndarray:
    """Words, characters, digits, capitals and signs of each text (n_texts, 5)."""
    series = pd.Series(texts, dtype="str")
    words = series.str.count(" ") + (series != "")
    patterns = (r"[0-9]", r"[A-Z]", r"[^\w\s]")
    found = [words, series.str.len(), *(series.str.count(pattern) for pattern in patterns)]
    return np.column_stack([column.to_numpy(dtype=np.float64) for column in found])


def _texts(series: pd.Series) -> list[str]:
    return [str(text) for text in series.fillna("").to_list()]


def space(trial: optuna.Trial, shape: DataShape) -> ParamDict:
    """Words or character pieces, and how many numbers come out."""
    return {
        "analyzer": trial.suggest_categorical("analyzer", ["word", "char_wb", "both"]),
        "n_components": trial.suggest_int("n_components", 4, 100, log=True),
        "n_terms": trial.suggest_categorical("n_terms", [0, 30, 100, 300]),
    }


COMPONENT = Component(
    key="text_tfidf",
    slot="features",
    group="text",
    title="Text by terms and topics",
    summary="Turns each free text column into counts, frequent terms and topic coordinates; without it free text is not used.",
    order=30,
    defaults={"analyzer": "word", "n_components": 20, "n_terms": 0, "max_terms": 5000},
    space=space,
    applies=needs_text,
    fit_table=fit,
)
