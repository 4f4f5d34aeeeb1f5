"""Ranking of cards: conditions, evidence, question; with reasons, and the same every time."""

from __future__ import annotations

from typing import Any

import pytest
from mle_star.knowledge.catalogue import Card, CardBlock, Conditions, load_cards
from mle_star.knowledge.facts import FEATURES, Facts, facts_of
from mle_star.knowledge.ranking import rank_cards, text_match, widen


def profile_entry(**changes: Any) -> dict[str, Any]:
    """What a run records when it is opened, as far as cards read it."""
    shape = {
        "kind": "binary",
        "n_rows": 7_000,
        "n_numeric": 4,
        "n_categorical": 6,
        "n_boolean": 2,
        "n_datetime": 0,
        "n_text": 0,
        "n_id": 1,
        "max_levels": 12,
        "missing_share": 0.0,
        "n_classes": 2,
        "minority_share": 0.27,
        "target_skew": 0.0,
        "target_min": 0.0,
    }
    return {
        "task": {"kind": shape["kind"], "metric": "roc_auc"},
        "split": {"kind": changes.pop("split", "stratified"), "reason": "no order found"},
        "profile": {"duplicate_rows_share": changes.pop("duplicates", 0.0)},
        "shape": {**shape, **changes},
    }


def card(
    key: str, gain: float = 1.0, slot: str = "encode", body: str = "", learners: tuple[str, ...] = (), **conditions: Any
) -> Card:
    return Card(
        key=key,
        title=key,
        source="https://example.org",
        evidence="1 %",
        evidence_gain=gain,
        tasks=frozenset({"binary"}),
        when=Conditions(**conditions),
        blocks=(CardBlock(slot, "native"),),
        learners=learners,
        domains=(),
        body=body,
    )


FACTS = facts_of(profile_entry())


def test_facts_are_read_from_what_a_run_records() -> None:
    facts = facts_of(
        profile_entry(
            n_text=1,
            missing_share=0.1,
            minority_share=0.02,
            max_levels=500,
            split="group",
            duplicates=0.3,
            target_skew=2.0,
        )
    )
    assert facts.n_columns == 13
    assert facts.features >= {
        "text",
        "missing",
        "imbalanced",
        "many_levels",
        "group",
        "duplicates",
        "skewed_target",
        "id",
    }
    assert facts.features <= set(FEATURES)
    assert not FACTS.features & {"text", "missing", "imbalanced", "many_levels", "group", "time", "duplicates"}


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ({"min_rows": 7_001}, "needs rows ≥ 7,001, here 7,000"),
        ({"max_rows": 6_999}, "needs rows ≤ 6,999, here 7,000"),
        ({"min_levels": 30}, "needs levels ≥ 30, here 12"),
        ({"min_missing_share": 0.01}, "needs missing share ≥ 0.01, here 0"),
        ({"has": ("text",)}, "needs text columns"),
        ({"lacks": ("id",)}, "not with id columns"),
    ],
)
def test_a_card_whose_conditions_fail_is_set_aside_with_the_reason(conditions: dict[str, Any], reason: str) -> None:
    ranked, aside = rank_cards([card("a", **conditions)], FACTS)
    assert ranked == []
    assert aside[0].reason == reason


def test_bounds_are_inclusive_and_what_speaks_for_a_card_is_said() -> None:
    ranked, aside = rank_cards([card("a", min_rows=7_000, max_levels=12, has=("categorical",))], FACTS)
    assert aside == []
    assert ranked[0].why == "fits: 7,000 rows, 12 levels, categorical columns; published or measured gain 1 %"


def test_a_card_for_another_task_is_set_aside() -> None:
    _, aside = rank_cards([card("a")], facts_of(profile_entry(kind="regression")))
    assert aside[0].reason == "not for regression tasks"


def test_evidence_ranks_and_a_question_leads() -> None:
    cards = [card("strong", 4.0, body="boosted trees"), card("weak", 1.5, body="temperature scaling of probabilities")]
    assert [item.card.key for item in rank_cards(cards, FACTS)[0]] == ["strong", "weak"]
    assert [item.card.key for item in rank_cards(cards, FACTS, "probabilities temperature")[0]] == ["weak", "strong"]


def test_ties_are_broken_by_key_and_the_ranking_repeats() -> None:
    cards = [card("b"), card("a"), card("c")]
    once = rank_cards(cards, FACTS, "anything at all")
    assert [item.card.key for item in once[0]] == ["a", "b", "c"]
    assert rank_cards(cards[::-1], FACTS, "anything at all") == once


def test_a_domain_lifts_its_cards() -> None:
    cards = load_cards()
    plain = [item.card.key for item in rank_cards(cards, FACTS)[0]]
    lifted = [item.card.key for item in rank_cards(cards, FACTS, domains=["Churn"])[0]]
    assert lifted.index("native_categories_in_boosting") < plain.index("native_categories_in_boosting")


def test_a_technique_for_some_learners_counts_half_and_says_whom_it_helps() -> None:
    ranked, _ = rank_cards([card("some", 1.5, learners=("knn", "linear")), card("any")], FACTS)
    assert [item.card.key for item in ranked] == ["any", "some"]
    assert "helps knn, linear" in ranked[1].why


def test_focus_keeps_one_slot() -> None:
    ranked, aside = rank_cards(load_cards(), FACTS, focus="post")
    assert ranked
    assert all("post" in item.card.slots for item in [*ranked, *aside])


@pytest.mark.parametrize(
    "query", ['" OR key:x', "NEAR(a b) AND NOT *", "title:^^", "(", "'; DROP TABLE cards; --", "💥", "a"]
)
def test_no_question_is_read_as_syntax(query: str) -> None:
    assert all(0.0 < match <= 1.0 for match in text_match(load_cards(), query).values())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("calibrated probabilities", {"temperature_scaling", "isotonic_calibration"}),
        ("high cardinality encoding", {"target_mean_high_cardinality", "ordinal_codes_for_many_levels"}),
        ("stacking meta-learner", {"linear_stacking", "boosted_stacking"}),
        ("missing values imputation", {"missing_indicator_with_imputation", "native_missing_values"}),
    ],
)
def test_a_question_finds_its_cards(query: str, expected: set[str]) -> None:
    match = text_match(load_cards(), query)
    best = sorted(match, key=lambda key: -match[key])[:4]
    assert expected & set(best)


def test_widening_takes_neighbours_before_strangers() -> None:
    cards = [card("a", 9.0), card("stranger", 5.0, slot="post"), card("neighbour", 1.0)]
    ranked, _ = rank_cards(cards, FACTS)
    assert [item.card.key for item in widen(ranked, 1, 1)] == ["a"]
    assert [item.card.key for item in widen(ranked, 2, 1)] == ["a", "neighbour"]
    assert [item.card.key for item in widen(ranked, 5, 1)] == ["a", "neighbour", "stranger"]


def test_every_shipped_card_applies_to_some_table() -> None:
    tables = [
        facts_of(profile_entry()),
        *(
            facts_of(
                profile_entry(
                    kind=kind, n_rows=rows, n_numeric=60, n_text=1, n_datetime=1, max_levels=levels, missing_share=0.1,
                    minority_share=0.1, target_skew=3.0, duplicates=0.2,
                )
            )
            for kind in ("binary", "multiclass", "regression")
            for rows in (1_000, 30_000)
            for levels in (20, 150, 500)
        ),
    ]  # fmt: skip
    applied = {item.card.key for facts in tables for item in rank_cards(load_cards(), facts)[0]}
    small = Facts("binary", 400, 5, 5, 0, 2, 0.0, 0.0, frozenset({"numeric"}))
    applied |= {item.card.key for item in rank_cards(load_cards(), small)[0]}
    assert {item.key for item in load_cards()} - applied == set()
