"""Discovery: every file in a plug-in folder exports one descriptor; a duplicate key is an error at import."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from functools import cache
from typing import Any

from .errors import NotFound
from .plugins import Check, Component, Ensemble, Model
from .solution import TABLE_SLOTS, Slot

_COMPONENT_SLOTS: tuple[Slot, ...] = (*TABLE_SLOTS, "target", "post")


def discover(package: str, constant: str, key: str = "key") -> dict[str, Any]:
    """Import every module of `package` and collect its `constant`, by the descriptor's `key`, sorted.

    Modules whose name starts with an underscore or that do not define the constant are skipped. Raises `ImportError` for a
    duplicate key.
    """
    root = importlib.import_module(package)
    found: dict[str, Any] = {}
    for module_info in sorted(pkgutil.iter_modules(root.__path__), key=lambda info: info.name):
        if module_info.ispkg or module_info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package}.{module_info.name}")
        descriptor = getattr(module, constant, None)
        if descriptor is None:
            continue
        name = getattr(descriptor, key)
        if name in found:
            raise ImportError(f"two plug-ins of {package} are called {name!r}; rename one of them")
        found[name] = descriptor
    return dict(sorted(found.items()))


def missing_requirement(descriptor: Any) -> str | None:
    """Return why a plug-in is unavailable (its optional library is not installed), or None."""
    for name in descriptor.requires:
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed"
    return None


_PACKAGE = __name__.rpartition(".")[0]


@cache
def models() -> dict[str, Model]:
    """All learners by key."""
    return discover(f"{_PACKAGE}.models", "MODEL")


@cache
def components(slot: Slot) -> dict[str, Component]:
    """All components of a slot by key; empty for `model`, whose choices are the learners."""
    return discover(f"{_PACKAGE}.components.{slot}", "COMPONENT") if slot in _COMPONENT_SLOTS else {}


@cache
def ensembles() -> dict[str, Ensemble]:
    """All ensemble strategies by key."""
    return discover(f"{_PACKAGE}.ensembles", "ENSEMBLE")


@cache
def checks() -> dict[str, Check]:
    """All validation checks by code."""
    return discover(f"{_PACKAGE}.checks", "CHECK", key="code")


def model(key: str) -> Model:
    """Return a learner that can be used now; raises `NotFound` with the accepted names."""
    found: Model = _available(models(), key, "learner")
    return found


def component(slot: Slot, key: str) -> Component:
    """Return a component that can be used now; raises `NotFound` with the accepted names."""
    found: Component = _available(components(slot), key, f"{slot} component")
    return found


def _available(table: dict[str, Any], key: str, what: str) -> Any:
    if key not in table:
        raise NotFound(f"no {what} is called {key!r}; accepted: {', '.join(table)}")
    if reason := missing_requirement(table[key]):
        raise NotFound(f"the {what} {key!r} is unavailable: {reason}")
    return table[key]
