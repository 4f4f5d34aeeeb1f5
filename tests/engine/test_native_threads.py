"""One thread for matrix products, whichever threads ask for it, and the limit that was there before afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import threadpoolctl  # type: ignore[import-untyped]
from mle_star.engine.native_threads import single_blas_thread


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads_otherwise() -> Iterator[None]:
    """The limit outside is set by the thread of the tests, which lives on."""
    assert (np.ones((2, 2)) @ np.ones((2, 2))).sum() == 8.0
    if not blas_threads():
        pytest.skip("no BLAS whose threads can be limited")
    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        yield


def test_one_thread_inside_and_the_limit_from_before_afterwards() -> None:
    before = blas_threads()
    with single_blas_thread(), single_blas_thread():
        assert blas_threads() == {1}
    assert blas_threads() == before == {2}


@pytest.mark.parametrize("first_leaves_first", [True, False])
def test_users_in_other_threads_have_one_thread_too_until_the_last_leaves(first_leaves_first: bool) -> None:
    with single_blas_thread():
        # Used once by this thread, which lives on: what follows comes from others.
        pass
    with ThreadPoolExecutor(2) as pool:
        inside, leave = [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]

        def use(number: int) -> set[int]:
            with single_blas_thread():
                inside[number].set()
                assert leave[number].wait(20)
                return blas_threads()

        users = []
        for number in range(2):
            users.append(pool.submit(use, number))
            assert inside[number].wait(20)
        first, last = (0, 1) if first_leaves_first else (1, 0)
        leave[first].set()
        assert users[first].result(20) == {1}
        assert blas_threads() == {1}
        leave[last].set()
        assert users[last].result(20) == {1}
        # The threads of the pool are still alive.
        assert blas_threads() == {2}
