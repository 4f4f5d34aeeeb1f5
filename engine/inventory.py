"""Names of what the engine can execute, read from the file names of the plug-in folders: nothing is imported.

For processes that must stay light. Whether a plug-in's library is installed is the registry's to say.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from pathlib import Path

from .solution import SLOTS

_ENGINE = Path(__file__).resolve().parent
_COMPONENTS: dict[str, Path] = {slot: _ENGINE / "components" / slot for slot in SLOTS if slot != "model"}
_FOLDERS = {
    **_COMPONENTS,
    "model": _ENGINE / "models",
    "ensemble": _ENGINE / "ensembles",
}


@cache
def names(slot: str) -> tuple[str, ...]:
    """Return the component keys of a slot, the learners for `model`, the strategies for `ensemble`; empty for another slot."""
    folder = _FOLDERS.get(slot)
    if folder is None:
        return ()
    found = pkgutil.iter_modules([str(folder)])
    return tuple(sorted(module.name for module in found if not module.ispkg and not module.name.startswith("_")))


def exists(slot: str, component: str) -> bool:
    """Whether the engine has a component of this name in this slot."""
    return component in names(slot)
