"""Solutions: an ordered, frozen, hashable and serialisable description of a pipeline. Nothing here is executed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from .errors import InvalidInput

Slot = Literal["clean", "features", "encode", "select", "target", "model", "post"]
SLOTS: tuple[Slot, ...] = get_args(Slot)
TABLE_SLOTS: tuple[Slot, ...] = ("clean", "features", "encode", "select")
"""Slots that turn a table into a table; what they produce for a fold is shared by solutions with the same prefix."""

_PARAMS_SHOWN = 3

ParamValue = str | int | float | bool | None
Params = Mapping[str, ParamValue]


@dataclass(frozen=True)
class Block:
    """A component chosen for a slot, with its parameters (sorted pairs, so that equal blocks hash equally)."""

    slot: Slot
    component: str
    params: tuple[tuple[str, ParamValue], ...] = ()

    @classmethod
    def of(cls, slot: Slot, component: str, params: Params | None = None) -> Block:
        """Build a block from a parameter mapping."""
        return cls(slot, component, tuple(sorted((params or {}).items())))

    @property
    def name(self) -> str:
        """`slot.component`, the name used in reports; the slot alone for an empty place."""
        return f"{self.slot}.{self.component}" if self.component else self.slot

    def with_params(self, params: Params) -> Block:
        """Return this block with some parameters changed."""
        return Block.of(self.slot, self.component, {**dict(self.params), **params})

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready mapping; inverse of `from_json`."""
        return {"slot": self.slot, "component": self.component, "params": dict(self.params)}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Block:
        """Rebuild a block; raises `InvalidInput` for an unknown slot."""
        if body.get("slot") not in SLOTS:
            raise InvalidInput(f"expected a slot out of {', '.join(SLOTS)}, got {body.get('slot')!r}")
        return cls.of(body["slot"], str(body["component"]), body.get("params") or {})


@dataclass(frozen=True)
class Solution:
    """Blocks in slot order. Exactly one `model` block; at most one each of `select`, `target` and `post`."""

    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, blocks: Iterable[Block]) -> Solution:
        """Order blocks by slot (stable within a slot) and check the counts; raises `InvalidInput`."""
        ordered = tuple(sorted(blocks, key=lambda block: SLOTS.index(block.slot)))
        if sum(block.slot == "model" for block in ordered) != 1:
            raise InvalidInput(f"expected exactly one model block, got {[block.name for block in ordered]}")
        for slot in ("select", "target", "post"):
            if sum(block.slot == slot for block in ordered) > 1:
                raise InvalidInput(f"expected at most one {slot} block, got {[block.name for block in ordered]}")
        names = [block.name for block in ordered]
        if len(set(names)) != len(names):
            raise InvalidInput(f"expected each component once, got {names}")
        return cls(ordered)

    @cached_property
    def key(self) -> str:
        """Content hash, 16 hexadecimal digits."""
        return content_key([block.to_json() for block in self.blocks])

    @property
    def model(self) -> Block:
        """The model block."""
        return next(block for block in self.blocks if block.slot == "model")

    @property
    def prefix(self) -> tuple[Block, ...]:
        """The blocks that turn a table into a table, in order."""
        return tuple(block for block in self.blocks if block.slot in TABLE_SLOTS)

    def block(self, slot: Slot) -> Block | None:
        """Return the first block of a slot, or None."""
        return next((block for block in self.blocks if block.slot == slot), None)

    def replace(self, old: Block, new: Block) -> Solution:
        """Return a solution with one block changed in place; raises `InvalidInput` if `old` is not part of it."""
        if old not in self.blocks:
            raise InvalidInput(f"{old.name} is not a block of this solution: {self.describe()}")
        return Solution.of(new if block == old else block for block in self.blocks)

    def without(self, old: Block) -> Solution:
        """Return a solution with one block removed."""
        return Solution.of(block for block in self.blocks if block != old)

    def describe(self) -> str:
        """One line for a person: the components in order, the learner with its first changed parameters."""
        return " → ".join(
            block.component + (_shown(block.params) if block.slot == "model" else "") for block in self.blocks
        )

    def to_json(self) -> list[dict[str, Any]]:
        """Return a JSON-ready list; inverse of `from_json`."""
        return [block.to_json() for block in self.blocks]

    @classmethod
    def from_json(cls, body: Iterable[Mapping[str, Any]]) -> Solution:
        """Rebuild a solution."""
        return cls.of(Block.from_json(item) for item in body)


def _shown(params: tuple[tuple[str, ParamValue], ...]) -> str:
    """`(num_leaves=12, …)`, or nothing where all are defaults."""
    if not params:
        return ""
    pairs = [f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in params]
    return f"({', '.join(pairs[:_PARAMS_SHOWN])}{', …' if len(pairs) > _PARAMS_SHOWN else ''})"


@dataclass(frozen=True)
class Suggestion:
    """A block that research suggests for this table; `learners` names those it helps, empty for any."""

    block: Block
    learners: tuple[str, ...] = ()

    def suits(self, solution: Solution) -> bool:
        """Whether the suggestion is meant for this solution's learner."""
        return not self.learners or solution.model.component in self.learners


def content_key(value: Any) -> str:
    """Hash a JSON-ready value to 16 hexadecimal digits; equal content gives equal keys in every process."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
