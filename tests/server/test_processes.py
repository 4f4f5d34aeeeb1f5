"""The environment a worker starts in."""

from __future__ import annotations

import pytest
from mle_star.server.processes import _OWN_PAGES_BYTES, _SPIN_COUNT, _environment


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, _SPIN_COUNT),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "passive"}, None),
    ],
)
def test_native_threads_wait_actively_unless_the_user_says_how(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], expected: str | None
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    assert _environment(2).get("GOMP_SPINCOUNT") == expected


def test_large_arrays_have_pages_of_their_own_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "12345678")
    environment = _environment(2)
    assert environment["MALLOC_MMAP_THRESHOLD_"] == "12345678"
    assert environment["MALLOC_TRIM_THRESHOLD_"] == str(_OWN_PAGES_BYTES)
