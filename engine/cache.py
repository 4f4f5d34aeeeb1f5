"""The content cache of evaluations, shared by all runs of one home folder: JSON and plain arrays on disk, never pickles.

diskcache unpickles whatever lies in its folder (CVE-2025-69872), so `PlainDisk` refuses every entry that is not plain bytes
inside the cache folder; a refused or damaged entry counts as absent. Not covered: a person who can
write to the folder can put wrong numbers into it (it is made private, 0700).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import io
import json
import struct
from pathlib import Path
from typing import Any

import diskcache
import numpy as np

from .errors import Refused
from .solution import content_key

_LENGTH = struct.Struct("<Q")
_LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy", "lightgbm", "catboost", "xgboost", "xgboost-cpu")


class PlainDisk(diskcache.Disk):  # type: ignore[misc]
    """A diskcache `Disk` that stores and returns bytes, text and numbers only."""

    def put(self, key: Any) -> tuple[Any, bool]:
        """Convert a key for the database; only text keys are accepted."""
        if not isinstance(key, str):
            raise Refused(f"expected a text key, got {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: bool) -> Any:
        """Convert a database key back; refuses keys that would have to be unpickled."""
        if not raw:
            raise Refused("the cache holds a pickled key; delete the cache folder")
        return key

    def store(self, value: Any, read: bool, key: Any = diskcache.UNKNOWN) -> tuple[int, int, Any, Any]:
        """Store bytes; everything else would be pickled by the base class and is refused."""
        if not isinstance(value, bytes) or read:
            raise Refused(f"expected bytes, got {type(value).__name__}")
        stored: tuple[int, int, Any, Any] = super().store(value, read, key)
        return stored

    def fetch(self, mode: int, filename: Any, value: Any, read: bool) -> Any:
        """Read an entry; refuses pickles and files outside the cache folder."""
        if mode not in (diskcache.core.MODE_RAW, diskcache.core.MODE_BINARY):
            raise Refused("the cache holds an entry that is not plain bytes; delete the cache folder")
        if filename is not None:
            root = Path(self._directory).resolve()
            if not (root / filename).resolve().is_relative_to(root):
                raise Refused("the cache names a file outside its folder; delete the cache folder")
        return super().fetch(mode, filename, value, read)


class EvaluationCache:
    """Evaluations by content key: a JSON header and one optional array.

    Parameters
    ----------
    path : Path
        Folder, made private to the user.
    size_limit_mb : int
        Least recently stored entries are dropped above this size.
    """

    def __init__(self, path: Path, size_limit_mb: int = 4096) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        self._cache = diskcache.Cache(
            str(path), disk=PlainDisk, disk_min_file_size=1 << 15, size_limit=size_limit_mb << 20, timeout=20
        )

    def get(self, key: str) -> tuple[dict[str, Any], np.ndarray | None] | None:
        """Return (header, array) or None; a damaged entry counts as absent."""
        blob = self._cache.get(key)
        if not isinstance(blob, bytes) or len(blob) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(blob)
        try:
            header = json.loads(blob[_LENGTH.size : _LENGTH.size + length])
            rest = blob[_LENGTH.size + length :]
            array = np.load(io.BytesIO(rest), allow_pickle=False) if rest else None
        except ValueError:
            return None
        return header, array

    def put(self, key: str, header: dict[str, Any], array: np.ndarray | None) -> None:
        """Store an evaluation; a full disk or a locked cache is not an error, the value is just not remembered."""
        head = json.dumps(header, allow_nan=False).encode()
        body = io.BytesIO()
        if array is not None:
            np.save(body, array, allow_pickle=False)
        try:
            self._cache.set(key, _LENGTH.pack(len(head)) + head + body.getvalue())
        except (OSError, diskcache.Timeout):
            return

    def close(self) -> None:
        """Close the database."""
        self._cache.close()


@functools.cache
def code_version() -> str:
    """Hash of the library versions and of the engine's own source: a score of other code is never reused."""
    versions = []
    for name in _LIBRARIES:
        try:
            versions.append(f"{name}={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return content_key([versions, digest.hexdigest()])
