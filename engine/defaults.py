"""Default solutions: for every learner a pipeline that is sensible on this table, from what the learner declares it needs."""

from __future__ import annotations

from . import registry
from .plugins import Model
from .shape import DataShape
from .solution import Block, Params, Slot, Solution

_MANY_LEVELS = 30
_ONEHOT_AT_MOST, _ONEHOT_VALUES = 250, 20_000_000
_SKEWED = 1.0
_ROWS_FOR_BINS = 1_000
_BY_ORDER = ("boosting", "tree")
"""Families whose splits depend on the order of values alone, so that a scale changes nothing worth the time (extremely random trees
draw theirs between the extremes)."""


def usable(slot: Slot, key: str, shape: DataShape) -> bool:
    """Whether a component exists, is installed, fits the task and has something to do on this table."""
    component = registry.components(slot).get(key)
    return (
        component is not None
        and registry.missing_requirement(component) is None
        and shape.kind in component.tasks
        and component.applies(shape) is None
    )


def why_not(model: Model, shape: DataShape) -> str | None:
    """Return why a learner should not be tried on this table, or None."""
    if shape.kind not in model.tasks:
        return f"not for {shape.kind} tasks"
    return registry.missing_requirement(model) or model.applies(shape)


def default_solution(key: str, shape: DataShape, params: Params | None = None) -> Solution:
    """Build the default pipeline of a learner; blocks that would do nothing on this table are left out."""
    model = registry.model(key)
    if model.family == "dummy":
        return Solution.of([Block.of("model", key, params)])
    wanted: list[Block] = []
    if model.needs.no_missing and shape.missing_share > 0:
        wanted.append(Block.of("clean", "impute_median"))
    wanted += [Block.of("features", "date_parts"), Block.of("features", "text_tfidf")]
    if shape.n_categorical:
        wanted.append(_category_encoding(model, shape))
    if model.needs.scaling:
        binned = model.needs.bins and shape.n_rows >= _ROWS_FOR_BINS and usable("encode", "piecewise", shape)
        wanted.append(Block.of("encode", "piecewise" if binned else "standard"))
        if (scale := scale_of_skewed_target(shape)) is not None:
            wanted.append(Block.of("target", scale))
    blocks = [block for block in wanted if usable(block.slot, block.component, shape)]
    return Solution.of([*blocks, Block.of("model", key, params)])


def in_bins(solution: Solution, shape: DataShape) -> Solution | None:
    """Return a default solution with numbers in bins where its learner gains from them but the rows are too few to begin with that;
    else None. With more rows the straight one is rarely better."""
    straight = all(block.component != "piecewise" for block in solution.blocks)
    gains = registry.model(solution.model.component).needs.bins and usable("encode", "piecewise", shape)
    return place(solution, Block.of("encode", "piecewise")) if straight and gains else None


def scale_of_skewed_target(shape: DataShape) -> str | None:
    """Return the target component that takes the skew out of a regression target, or None where there is little of it."""
    if shape.kind != "regression" or shape.target_skew <= _SKEWED:
        return None
    return "log1p" if shape.target_min >= 0 else "yeo_johnson"


def _category_encoding(model: Model, shape: DataShape) -> Block:
    if not model.needs.numeric_only:
        return Block.of("encode", "native")
    if model.needs.scaling:
        return Block.of("encode", "onehot", _onehot_levels(shape))
    return Block.of("encode", "target_mean" if shape.max_levels > _MANY_LEVELS else "ordinal")


def _onehot_levels(shape: DataShape) -> Params | None:
    """A column for each of many levels where that does not fill the memory; by default only the most frequent ones have one."""
    usual = int(registry.component("encode", "onehot").defaults["max_levels"] or 0)
    values = shape.n_rows * shape.n_categorical * min(shape.max_levels, _ONEHOT_AT_MOST)
    wide = shape.max_levels > usual and values <= _ONEHOT_VALUES
    return {"max_levels": _ONEHOT_AT_MOST} if wide else None


def neutral_solutions(solution: Solution, block: Block, shape: DataShape) -> list[Solution]:
    """Return the solutions in which a block is replaced by its neutral default: removed, where a pipeline runs without it
    (the adapter then does the least the learner needs); a linear model in the place of the learner."""
    if block.slot != "model":
        return [solution.without(block)]
    for key in ("linear", "naive_bayes", "decision_tree"):
        if key != block.component and key in registry.models() and why_not(registry.model(key), shape) is None:
            return [with_model(solution, key, shape)]
    return []


def with_model(solution: Solution, key: str, shape: DataShape, params: Params | None = None) -> Solution:
    """Exchange the learner and bring the blocks its default needs; blocks that suit any learner stay."""
    own = {(block.slot, _group(block)) for block in default_solution(key, shape).blocks}
    kept = [
        block
        for block in solution.blocks
        if block.slot not in ("model", "encode") and (block.slot, _group(block)) not in own
    ]
    return Solution.of([*kept, *default_solution(key, shape, params).blocks])


def alternatives(solution: Solution, block: Block, shape: DataShape) -> list[Block]:
    """Other components of the block's group that apply here, in a fixed order, with their default parameters."""
    if block.slot == "model":
        return [
            Block.of("model", key)
            for key, model in sorted(registry.models().items(), key=lambda pair: (pair[1].priority, pair[0]))
            if key != block.component and model.family != "dummy" and why_not(model, shape) is None
        ]
    needs = registry.model(solution.model.component).needs
    return [
        Block.of(block.slot, key)
        for key, component in registry.components(block.slot).items()
        if key != block.component
        and component.group == _group(block)
        and usable(block.slot, key, shape)
        and not (key == "native" and needs.numeric_only)
    ]


def additions(solution: Solution, shape: DataShape) -> list[Block]:
    """Components of groups the solution does not have yet, that apply here and can change what its learner sees."""
    taken = {(block.slot, _group(block)) for block in solution.blocks}
    if registry.model(solution.model.component).family in _BY_ORDER:
        taken.add(("encode", "scaling"))
    slots: tuple[Slot, ...] = ("clean", "features", "encode", "select", "target", "post")
    return [
        Block.of(slot, key)
        for slot in slots
        for key, component in registry.components(slot).items()
        if (slot, component.group) not in taken and usable(slot, key, shape)
    ]


def _group(block: Block) -> str:
    return "model" if block.slot == "model" else registry.component(block.slot, block.component).group


def place(solution: Solution, block: Block) -> Solution:
    """Put a block into a solution: in the place of the one of its group, else added in the components' order."""
    same = [old for old in solution.blocks if old.slot == block.slot and _group(old) == _group(block)]
    kept = [old for old in solution.blocks if old not in same]
    return Solution.of(sorted([*kept, block], key=_order))


def _order(block: Block) -> int:
    return 0 if block.slot == "model" else registry.component(block.slot, block.component).order
