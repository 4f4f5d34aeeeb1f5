"""Questions about a table that only measurement answers, asked early: do ids carry signal, does the target want another scale, do
categories of many levels want an encoding, do texts want a column for each frequent term, do group statistics help? They are asked
with one quick, strong learner, and what clearly helps goes into every later solution.

What the data raise comes first, then what research suggests for this table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import registry
from .deadline import Deadline
from .defaults import place, scale_of_skewed_target, usable
from .evaluation import Evaluation
from .experiment import Experiment
from .leaderboard import judge_change
from .levels import NATIVE_LEVELS
from .shape import DataShape
from .solution import Block, Solution, Suggestion

_QUESTIONS = 5
_TERMS = Block.of("features", "text_tfidf", {"n_terms": 100})
_ROWS_FOR_TERMS = 2_000
_SLOWER = 1.2
"""More columns take more time: a question needs about so many times what the reference took."""


def settle(
    experiment: Experiment, reference: Evaluation, deadline: Deadline, research: Sequence[Suggestion]
) -> list[Block]:
    """Try blocks one by one on the reference solution until the deadline; returns those that were better by more than the noise,
    in order. A question that is not expected to be answered in time is not asked."""
    accepted: list[Block] = []
    current = reference
    for number, block in enumerate(_questions(experiment, reference.solution, research)):
        if number == _QUESTIONS or _SLOWER * reference.seconds > deadline.remaining():
            break
        evaluation = experiment.evaluator.evaluate(place(current.solution, block), deadline, origin="research-informed")
        if evaluation.failure is None and judge_change(experiment, evaluation, current)[1]:
            accepted.append(block)
            current = evaluation
    return accepted


def settled(solution: Solution, blocks: Sequence[Block]) -> Solution:
    """Put accepted blocks into another learner's solution, where they suit it; an encoding only where that learner reads categories
    as the one does that was asked, and a column for each frequent term only where it chooses among columns as that one does."""
    model = registry.model(solution.model.component)
    if model.family == "dummy":
        return solution
    native = Block.of("encode", "native") in solution.blocks and not model.needs.target_statistics
    for block in blocks:
        if {"encode": native, "features": block != _TERMS or not model.needs.scaling}.get(block.slot, True):
            solution = place(solution, block)
    return solution


def _questions(experiment: Experiment, reference: Solution, research: Sequence[Suggestion]) -> Iterator[Block]:
    """Blocks to try, each once, without those the solution has."""
    shape = experiment.shape
    seen = {(block.slot, block.component) for block in reference.blocks}
    if shape.n_text and shape.n_rows >= _ROWS_FOR_TERMS:
        yield _TERMS
    suggested = [item.block for item in research if item.block.slot != "model" and item.suits(reference)]
    for block in [*_of_the_data(experiment), *suggested, *_of_groups(shape)]:
        if (block.slot, block.component) not in seen and usable(block.slot, block.component, shape):
            seen.add((block.slot, block.component))
            yield block


def _of_the_data(experiment: Experiment) -> Iterator[Block]:
    shape = experiment.shape
    if shape.n_id:
        yield Block.of("features", "keep_ids")
    # Under RMSLE every learner learns logarithms anyway.
    if (scale := scale_of_skewed_target(shape)) is not None and experiment.task.metric.key != "rmsle":
        yield Block.of("target", scale)
    if shape.max_levels > NATIVE_LEVELS:
        yield Block.of("encode", "target_mean")


def _of_groups(shape: DataShape) -> Iterator[Block]:
    if shape.n_categorical:
        yield Block.of("features", "group_aggregates")
