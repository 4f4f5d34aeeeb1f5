"""Ranking of cards for a table: conditions first, then evidence, then how well the text matches a question.

Deterministic. Text is matched by BM25 (SQLite FTS5, in memory); there is no model and no network.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from .catalogue import Card
from .facts import Facts

_TEXT_WEIGHT = 9.0
"""The best match counts ten times its evidence, half a match little more than three times: a question leads, and strong
evidence is not lost."""
_DOMAIN_WEIGHT = 1.5
_SOME_LEARNERS_WEIGHT = 0.5
"""Techniques for some learners only: the best solution may well be built on another."""
_FLOOR = 0.2
"""Evidence, in per cent, that a card without a measured gain counts with, so that a question can still find it."""
_WORDS = 24


@dataclass(frozen=True)
class RankedCard:
    """A card that applies, with its score and one line on why it stands where it does."""

    card: Card
    score: float
    relevance: float
    """Match with the question, 0 (none) to 1 (the best match of those that apply)."""
    why: str


@dataclass(frozen=True)
class SetAside:
    """A card that does not apply here, and why."""

    card: Card
    reason: str


def rank_cards(
    cards: Sequence[Card], facts: Facts, query: str = "", focus: str | None = None, domains: Sequence[str] = ()
) -> tuple[list[RankedCard], list[SetAside]]:
    """Rank the cards that apply to a table and say why the others do not.

    Parameters
    ----------
    focus : str, optional
        Only cards with a block in this slot; the rest is neither ranked nor set aside.
    domains : sequence of str
        Fields of use; cards that name one of them count 1.5 times.
    """
    asked = {domain.lower() for domain in domains}
    applicable: list[tuple[Card, list[str]]] = []
    aside = []
    for card in cards:
        if focus is not None and focus not in card.slots:
            continue
        speaks, reason = card.when.judge(facts) if facts.kind in card.tasks else ([], f"not for {facts.kind} tasks")
        if reason is None:
            applicable.append((card, speaks))
        else:
            aside.append(SetAside(card, reason))
    relevance = text_match([card for card, _ in applicable], query)
    ranked = []
    for card, speaks in applicable:
        match = relevance.get(card.key, 0.0)
        shared = sorted(asked.intersection(domain.lower() for domain in card.domains))
        score = max(card.evidence_gain, _FLOOR) * (1.0 + _TEXT_WEIGHT * match**2)
        score *= (_DOMAIN_WEIGHT if shared else 1.0) * (_SOME_LEARNERS_WEIGHT if card.learners else 1.0)
        ranked.append(RankedCard(card, round(score, 4), round(match, 4), _why(card, speaks, match, shared)))
    ranked.sort(key=lambda item: (-item.score, item.card.key))
    return ranked, aside


def widen(ranked: Sequence[RankedCard], rounds: int, per_round: int) -> list[RankedCard]:
    """Take cards round by round: the best first, then neighbours of those taken (a shared slot or domain), then the rest."""
    taken: list[RankedCard] = list(ranked[:per_round])
    rest = list(ranked[per_round:])
    for _ in range(rounds - 1):
        near = {slot for item in taken for slot in item.card.slots} | {
            word for item in taken for word in item.card.domains
        }
        # Stable: within neighbours and within the rest the rank decides.
        rest.sort(key=lambda item: not near.intersection(item.card.slots | set(item.card.domains)))
        taken, rest = taken + rest[:per_round], rest[per_round:]
    return taken


def text_match(cards: Iterable[Card], query: str) -> dict[str, float]:
    """Return the match of each card with a question, 1.0 for the best; cards without a common word are absent."""
    words = list(dict.fromkeys(re.findall(r"\w{2,}", query.lower())))[:_WORDS]
    if not words:
        return {}
    # Quoted words joined by OR: nothing a client writes is read as FTS5 syntax.
    expression = " OR ".join(f'"{word}"' for word in words)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            "CREATE VIRTUAL TABLE cards USING fts5(key UNINDEXED, title, blocks, domains, text, tokenize='porter unicode61')"
        )
        connection.executemany("INSERT INTO cards VALUES (?, ?, ?, ?, ?)", [_row(card) for card in cards])
        # bm25 is negative, the smaller the better; a word in the title weighs most.
        found = connection.execute(
            "SELECT key, -bm25(cards, 0.0, 6.0, 4.0, 3.0, 1.0) FROM cards WHERE cards MATCH ?", (expression,)
        ).fetchall()
    best = max((score for _, score in found), default=0.0)
    return {key: score / best for key, score in found if score > 0.0} if best > 0.0 else {}


def _row(card: Card) -> tuple[str, str, str, str, str]:
    blocks = " ".join(f"{block.slot} {block.component.replace('_', ' ')}" for block in card.blocks)
    return card.key, card.title, blocks, " ".join(card.domains), f"{card.evidence} {card.body}"


def _why(card: Card, speaks: Sequence[str], match: float, shared: Sequence[str]) -> str:
    parts = [f"fits: {', '.join(dict.fromkeys(speaks))}" if speaks else "fits any table of this task"]
    if card.learners:
        parts.append(f"helps {', '.join(card.learners[:3])}{' …' if len(card.learners) > 3 else ''}")
    if match > 0.0:
        parts.append(f"matches the question ({match:.0%})")
    if shared:
        parts.append(f"used in {', '.join(shared)}")
    parts.append(
        f"published or measured gain {card.evidence_gain:g} %" if card.evidence_gain else "gain to be shown here"
    )
    return "; ".join(parts)
