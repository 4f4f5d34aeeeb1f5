"""Threads of the native libraries below numpy and scikit-learn (BLAS, OpenMP), where no argument of theirs sets them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import threadpoolctl  # type: ignore[import-untyped]

_lock = threading.Lock()
_blas: dict[str, Any] = {"users": 0, "limit": None}


@contextmanager
def single_blas_thread() -> Iterator[None]:
    """Run matrix products on one thread until the last user leaves.

    The setting belongs to the whole process, so work side by side shares it: the first sets it, the last restores it. Small
    products split over threads that compete with other fits cost up to ten times the time of one thread.
    """
    with _lock:
        if _blas["users"] == 0:
            _let_any_thread_set_limits()
            _blas["limit"] = threadpoolctl.threadpool_limits(limits=1, user_api="blas")
        _blas["users"] += 1
    try:
        yield
    finally:
        with _lock:
            _blas["users"] -= 1
            if _blas["users"] == 0:
                _let_any_thread_set_limits()
                _blas["limit"].restore_original_limits()
                _let_any_thread_set_limits()
                _blas["limit"] = None


def _let_any_thread_set_limits() -> None:
    """From 3.8 on threadpoolctl lets nobody but the thread that set OpenBLAS's limit first set it again, and ignores all others
    without a word. Here the first of the users sets it, whichever thread that is, and the last one restores it."""
    controller = getattr(threadpoolctl, "OpenBLASController", None)
    if (clear := getattr(controller, "clear_controlling_thread", None)) is not None:
        clear(force=True)


@contextmanager
def openmp_threads(threads: int) -> Iterator[None]:
    """Limit OpenMP regions that the calling thread starts; fits in other threads keep their own limit."""
    with _openmp().limit(limits=threads, user_api="openmp"):
        yield


@cache
def _openmp() -> Any:
    """Find the libraries once: looking for them costs more than predicting a row."""
    import sklearn.ensemble  # noqa: F401  (loads scikit-learn's own OpenMP)

    return threadpoolctl.ThreadpoolController()
