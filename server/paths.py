"""Which files a client may name: symlinks are resolved first, then the path must lie in an allowed folder.

Not covered: a file that is swapped for a link after the check; the worker reads the resolved path, so the window is small.
"""

from __future__ import annotations

from pathlib import Path

from ..engine.errors import InvalidInput, Refused
from .settings import Settings


def resolve_data_path(text: str, settings: Settings) -> Path:
    """Return the resolved path of a readable file in an allowed folder.

    Raises `Refused` for a path outside the allowed folders, whether it exists or not, and `InvalidInput` for what is not a file.
    """
    if not text.strip() or "\x00" in text:
        raise InvalidInput(f"expected the path of a table, got {text[:60]!r}")
    try:
        path = Path(text).expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise InvalidInput(f"expected the path of a table, got {text[:200]!r}, which cannot be resolved") from error
    folders = settings.allowed_folders
    if not any(path.is_relative_to(folder) for folder in folders):
        raise Refused(
            f"{_shown(text)} lies outside the allowed folders ({', '.join(map(str, folders))}); move the file into one of them, or "
            "allow its folder with mle-star serve --allow DIR or MLE_STAR_ALLOWED_DIRS"
        )
    try:
        if path.is_dir():
            raise InvalidInput(f"expected a file, got the folder {path}; name one table in it")
        if not path.exists():
            near = _same_stem(path)
            raise InvalidInput(f"there is no file {path}" + (f"; did you mean {near}?" if near else "; check the path"))
        if not path.is_file():
            raise InvalidInput(f"expected a regular file, got {path}, which is a device or pipe")
        with path.open("rb"):
            pass
    except PermissionError as error:
        raise Refused(f"{path} cannot be read by this user; change its permissions or copy it") from error
    except OSError as error:
        raise InvalidInput(f"{_shown(text)} cannot be opened ({error.strerror}); check the path") from error
    return path


def _shown(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"


def _same_stem(path: Path) -> str | None:
    """A file beside it with the same name but another ending or case."""
    if not path.parent.is_dir():
        return None
    found = [entry.name for entry in path.parent.iterdir() if entry.stem.lower() == path.stem.lower()]
    return min(found, default=None)
