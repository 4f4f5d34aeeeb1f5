"""`mle-star predict`: a saved model and a file of rows in, a CSV out. The only command that loads ML libraries itself."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine.errors import InvalidInput, UnreadCells

if TYPE_CHECKING:
    import pandas as pd


_STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")


def predict_file(model: Path, data: Path, output: Path) -> tuple[int, list[str]]:
    """Write `prediction` and `proba_<label>` columns for every row of `data`, in order; return the number of rows, and what of
    them could not be read.

    The output appears complete or not at all. Raises `NotFound`, `Refused` or `InvalidInput` for a model or data that
    cannot be used.
    """
    from ..engine.final_model import load
    from ..engine.reading import read_table

    fitted = load(model)
    frame = read_table(data, min_rows=1, min_columns=1).frame
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UnreadCells)
        predictions = fitted.predict(frame)
    _write_csv(predictions, output)
    return len(predictions), [str(item.message) for item in caught if issubclass(item.category, UnreadCells)]


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    try:
        if _is_stream(path):
            _write_into(frame, path)
            return
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, staging = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except (OSError, RuntimeError) as error:
        # RuntimeError: a link that leads to itself.
        said = getattr(error, "strerror", None) or error
        raise InvalidInput(f"expected an output that can be written, got {path}: {said}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            frame.to_csv(stream, index=False)
        Path(staging).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        Path(staging).replace(path)
    except OSError as error:
        Path(staging).unlink(missing_ok=True)
        raise InvalidInput(
            f"could not write {path}: {error.strerror}; free some space or choose another file"
        ) from error


def _is_stream(path: Path) -> bool:
    """Whether the path names a pipe or device. /dev/stdout does also where it leads to a file: what that holds is to stay."""
    if str(path).startswith(_STREAMS):
        return path.exists()
    return path.exists() and not path.is_file() and not path.is_dir()


def _write_into(frame: pd.DataFrame, path: Path) -> None:
    """A file put in the place of a pipe would be read by nobody."""
    with path.open("a", encoding="utf-8", newline="") as stream:
        frame.to_csv(stream, index=False)


def _umask() -> int:
    """What the user lets new files be; reading it means setting it for a moment."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
