"""Contract of a technique card: complete, honest in form, and every block can be executed by the engine as it stands."""

from __future__ import annotations

import re
from typing import Any

import pytest
from mle_star.engine import inventory, registry
from mle_star.engine.shape import DataShape
from mle_star.engine.solution import SLOTS
from mle_star.knowledge.catalogue import CARDS_FOLDER, Card, CardBlock, load_cards, parse_card
from mle_star.knowledge.facts import FEATURES

CARDS = load_cards()
TASKS = {"binary", "multiclass", "regression"}
SHAPE = DataShape(
    kind="regression",
    n_rows=5_000,
    n_numeric=6,
    n_categorical=3,
    n_boolean=1,
    n_datetime=1,
    n_text=1,
    n_id=1,
    max_levels=60,
    missing_share=0.1,
    n_classes=0,
    minority_share=1.0,
    target_skew=2.0,
    target_min=0.0,
)
PROPOSALS = [(card, block) for card in CARDS for block in card.blocks]


def proposal_id(value: Any) -> str:
    return value.key if isinstance(value, Card) else value.name


def test_the_catalogue_is_broad() -> None:
    assert len(CARDS) >= 30
    assert {slot for card in CARDS for slot in card.slots} == {*SLOTS, "ensemble"}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.key)
def test_a_card_is_complete(card: Card) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]{2,60}", card.key)
    assert 10 <= len(card.title) <= 80
    assert re.fullmatch(r"https://\S+", card.source)
    assert re.search(r"\d", card.evidence), "evidence states a number"
    assert len(card.evidence) <= 420
    assert 0.0 <= card.evidence_gain <= 10.0
    assert card.tasks
    assert card.tasks <= TASKS
    assert set(card.learners) <= set(registry.models())
    assert len(card.body) >= 150
    assert all(word in card.body for word in ("**What.**", "**Why it works.**", "**When not.**", "**Check here.**"))


@pytest.mark.parametrize(("card", "block"), PROPOSALS, ids=proposal_id)
def test_a_block_can_be_executed_with_these_parameters(card: Card, block: CardBlock) -> None:
    if block.slot == "ensemble":
        assert block.component in registry.ensembles()
        assert block.params == {}
        return
    if block.slot == "model":
        model = registry.models()[block.component]
        known, tasks = model.defaults(SHAPE), model.tasks
    else:
        component = registry.components(block.slot)[block.component]  # type: ignore[index]
        known, tasks = dict(component.defaults), component.tasks
    assert set(block.params) <= set(known)
    assert card.tasks <= tasks
    for name, value in block.params.items():
        if known[name] is not None:
            assert isinstance(value, (int, float) if isinstance(known[name], float) else type(known[name]))


def test_the_inventory_lists_what_the_registry_finds() -> None:
    for slot in SLOTS:
        found = registry.models() if slot == "model" else registry.components(slot)
        assert inventory.names(slot) == tuple(found)
    assert inventory.names("ensemble") == tuple(registry.ensembles())
    assert inventory.names("kitchen") == ()


def test_every_file_is_a_card_and_every_feature_is_used_somewhere() -> None:
    assert len(CARDS) == len(list(CARDS_FOLDER.glob("*.md")))
    assert {name for card in CARDS for name in (*card.when.has, *card.when.lacks)} <= set(FEATURES)


GOOD = """+++
key = "a_card"
title = "A technique"
source = "https://example.org"
evidence = "1 %"
evidence_gain = 1.0
tasks = ["binary"]
[when]
has = ["text"]
[[blocks]]
slot = "encode"
component = "native"
+++
Text.
"""


def test_a_minimal_card_parses() -> None:
    card = parse_card("a_card", GOOD)
    assert card.when.has == ("text",)
    assert card.blocks == (CardBlock("encode", "native"),)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('key = "a_card"', 'key = "another"'),
        ('has = ["text"]', 'has = ["magic"]'),
        ('has = ["text"]', "min_luck = 3"),
        ('tasks = ["binary"]', ""),
        ("+++\nText.\n", ""),
        ("evidence_gain = 1.0", "evidence_gain = "),
        ('evidence = "1 %"', 'evidence = "1 %"\nsurprise = 1'),
    ],
)
def test_a_broken_card_is_refused_by_name(old: str, new: str) -> None:
    with pytest.raises(ValueError, match="a_card"):
        parse_card("a_card", GOOD.replace(old, new))
