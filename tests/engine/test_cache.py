"""The evaluation cache never unpickles: one attack for each way an entry could smuggle one in."""

from __future__ import annotations

import pickle
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from mle_star.engine.cache import EvaluationCache, PlainDisk, code_version
from mle_star.engine.errors import Refused


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('unpickled')",))


def _rewrite(path: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(path / "cache.db") as connection:
        connection.execute(statement, values)


def test_an_evaluation_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    cache = EvaluationCache(tmp_path)
    oof = np.arange(12, dtype=np.float32).reshape(6, 2)
    cache.put("k", {"scores": [0.5, 0.25]}, oof)
    header, array = cache.get("k") or ({}, None)
    assert header == {"scores": [0.5, 0.25]}
    assert array is not None
    np.testing.assert_array_equal(array, oof)
    assert cache.get("other") is None


def test_a_large_array_is_kept_in_a_file_and_comes_back(tmp_path: Path) -> None:
    cache = EvaluationCache(tmp_path)
    oof = np.random.default_rng(0).normal(size=(50_000, 2)).astype(np.float32)
    cache.put("k", {}, oof)
    found = cache.get("k")
    assert found is not None
    assert found[1] is not None
    np.testing.assert_array_equal(found[1], oof)


def test_a_pickle_planted_in_the_database_counts_as_absent_and_is_not_run(tmp_path: Path) -> None:
    cache = EvaluationCache(tmp_path)
    cache.put("k", {}, None)
    bomb = pickle.dumps(_Bomb())
    _rewrite(tmp_path, "UPDATE Cache SET mode = 4, filename = NULL, value = ?", sqlite3.Binary(bomb))
    assert cache.get("k") is None


def test_a_pickle_planted_in_a_file_counts_as_absent_and_is_not_run(tmp_path: Path) -> None:
    cache = EvaluationCache(tmp_path)
    cache.put("k", {}, None)
    (tmp_path / "bomb.val").write_bytes(pickle.dumps(_Bomb()))
    _rewrite(tmp_path, "UPDATE Cache SET mode = 4, filename = 'bomb.val', value = NULL")
    assert cache.get("k") is None


def test_a_file_outside_the_cache_folder_is_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    cache = EvaluationCache(tmp_path / "cache")
    cache.put("k", {}, None)
    _rewrite(tmp_path / "cache", "UPDATE Cache SET mode = 2, filename = '../secret.txt', value = NULL")
    assert cache.get("k") is None


@pytest.mark.parametrize(
    ("mode", "filename", "said"),
    [(4, None, "not plain bytes"), (3, None, "not plain"), (2, "../secret.txt", "outside")],
)
def test_the_disk_refuses_what_it_did_not_write(tmp_path: Path, mode: int, filename: str | None, said: str) -> None:
    with pytest.raises(Refused, match=said):
        PlainDisk(str(tmp_path)).fetch(mode, filename, pickle.dumps(_Bomb()), read=False)


@pytest.mark.parametrize("value", [{"a": 1}, "text", 3, _Bomb()])
def test_the_disk_stores_bytes_only(tmp_path: Path, value: object) -> None:
    with pytest.raises(Refused, match="expected bytes"):
        PlainDisk(str(tmp_path)).store(value, read=False)


def test_an_array_of_objects_counts_as_absent(tmp_path: Path) -> None:
    import io
    import struct

    cache = EvaluationCache(tmp_path)
    body = io.BytesIO()
    np.save(body, np.array([_Bomb()], dtype=object), allow_pickle=True)
    cache._cache.set("k", struct.pack("<Q", 2) + b"{}" + body.getvalue())
    assert cache.get("k") is None


def test_a_damaged_entry_counts_as_absent(tmp_path: Path) -> None:
    cache = EvaluationCache(tmp_path)
    cache._cache.set("k", b"\xff" * 40)
    assert cache.get("k") is None


def test_the_folder_is_private(tmp_path: Path) -> None:
    EvaluationCache(tmp_path / "cache")
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_scores_of_other_code_are_never_reused() -> None:
    assert len(code_version()) == 16
