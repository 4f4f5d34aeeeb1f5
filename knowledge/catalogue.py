"""The shipped technique cards: what is known to work, for which data, and the blocks that do it here.

A card is one Markdown file in `cards/`: TOML front matter between two `+++` lines, then a text of our own. Adding one needs
nothing but the file; a contract test checks every block against what the engine can execute.

Front matter
------------
key : the file's name without `.md`
title, source (URL of the paper or document), evidence (one sentence with a number and where it was measured)
evidence_gain : float, per cent
    By how much the technique lowers the error (RMSE, MAE, log loss, 1 − AUC, 1 − accuracy) against the plain alternative named
    in `evidence`, on tables like those the card is for: one figure per card on one scale, so that cards can be ranked. Where the
    evidence states errors, it is their mean over the tables, halved if there is one table only, and at most 10. Where a source
    reports another kind of number, it is a cautious figure of at most 2. Learners are held against LightGBM's default.
    0 stands for a technique that has to prove itself first.
tasks : list of binary, multiclass, regression
when : table of conditions, see `Conditions`; absent: any table
blocks : list of {slot, component, params}; `slot` may also be `ensemble`
learners : list of learners that the technique helps; absent: any
domains : list of words for fields of use, e.g. finance; optional
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from .facts import FEATURES, Facts

CARDS_FOLDER = Path(__file__).resolve().parent / "cards"
_FENCE = "+++"

ParamValue = str | int | float | bool


@dataclass(frozen=True)
class CardBlock:
    """What a card proposes to execute; `slot` is a pipeline slot or `ensemble`."""

    slot: str
    component: str
    params: Mapping[str, ParamValue] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`slot.component`, the name used in reports."""
        return f"{self.slot}.{self.component}"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready mapping."""
        return {"slot": self.slot, "component": self.component, "params": dict(self.params)}


@dataclass(frozen=True)
class Conditions:
    """When a card applies. Bounds are inclusive; `has` and `lacks` name features of `facts.FEATURES`."""

    min_rows: int | None = None
    max_rows: int | None = None
    min_columns: int | None = None
    max_columns: int | None = None
    min_numeric: int | None = None
    min_levels: int | None = None
    max_levels: int | None = None
    min_classes: int | None = None
    min_missing_share: float | None = None
    min_target: float | None = None
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()

    def judge(self, facts: Facts) -> tuple[list[str], str | None]:
        """Return (what speaks for the card here, why it does not apply or None)."""
        speaks = []
        for name in _BOUNDS:
            bound = getattr(self, name)
            if bound is None:
                continue
            side, _, quantity = name.partition("_")
            value = getattr(facts, _QUANTITIES[quantity])
            words = (
                f"{quantity.replace('_', ' ')} {value:,.4g}" if isinstance(value, float) else f"{value:,} {quantity}"
            )
            if (value < bound) if side == "min" else (value > bound):
                return (
                    [],
                    f"needs {quantity.replace('_', ' ')} {'≥' if side == 'min' else '≤'} {bound:,}, here {value:,.4g}",
                )
            speaks.append(words)
        for name in self.has:
            if name not in facts.features:
                return [], f"needs {FEATURES[name]}"
            speaks.append(FEATURES[name])
        for name in self.lacks:
            if name in facts.features:
                return [], f"not with {FEATURES[name]}"
        return speaks, None


_QUANTITIES = {
    "rows": "n_rows",
    "columns": "n_columns",
    "numeric": "n_numeric",
    "levels": "max_levels",
    "classes": "n_classes",
    "missing_share": "missing_share",
    "target": "target_min",
}
_BOUNDS = tuple(item.name for item in fields(Conditions) if item.name.startswith(("min_", "max_")))


@dataclass(frozen=True)
class Card:
    """A technique with its evidence and the blocks it maps to; `body` is Markdown."""

    key: str
    title: str
    source: str
    evidence: str
    evidence_gain: float
    tasks: frozenset[str]
    when: Conditions
    blocks: tuple[CardBlock, ...]
    learners: tuple[str, ...]
    """Learners that the technique helps; empty: any."""
    domains: tuple[str, ...]
    body: str

    @property
    def slots(self) -> frozenset[str]:
        """Slots its blocks belong to."""
        return frozenset(block.slot for block in self.blocks)


@cache
def load_cards() -> tuple[Card, ...]:
    """Return all shipped cards, by key; raises `ValueError` with the file's name for a card that breaks the format."""
    return tuple(parse_card(path.stem, path.read_text(encoding="utf-8")) for path in sorted(CARDS_FOLDER.glob("*.md")))


def parse_card(key: str, text: str) -> Card:
    """Parse one card; raises `ValueError` that names the card and what is wrong with it."""
    head, _, rest = text.partition(f"{_FENCE}\n")
    front, _, body = rest.partition(f"{_FENCE}\n")
    if head.strip() or not body.strip():
        raise ValueError(f"card {key}: expected TOML between two {_FENCE} lines and a text after it")
    try:
        values = tomllib.loads(front)
        when: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.pop("when", {}).items()
        }
        blocks = tuple(CardBlock(**block) for block in values.pop("blocks"))
        card = Card(
            **{
                **values,
                "tasks": frozenset(values["tasks"]),
                "when": Conditions(**when),
                "blocks": blocks,
                "learners": tuple(values.get("learners", ())),
                "domains": tuple(values.get("domains", ())),
                "body": body.strip(),
            }
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as problem:
        raise ValueError(f"card {key}: {problem}") from problem
    unknown = {*card.when.has, *card.when.lacks} - set(FEATURES)
    if card.key != key or unknown or not card.blocks:
        raise ValueError(
            f"card {key}: expected key = file name, known features and a block; got {card.key}, {unknown or 'no block'}"
        )
    return card
