from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from threadpoolctl import threadpool_info, threadpool_limits

from bayes_intgen._threads import single_blas_thread


def blas_threads() -> set[int]:
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_overlapping_limits_leave_the_number_of_threads_unchanged() -> None:
    """One that ends while another runs keeps the limit; the last one restores the threads."""
    both_started, first_ended, checked = Barrier(2), Barrier(2), Barrier(2)
    seen = []

    def first() -> None:
        with single_blas_thread():
            both_started.wait(60)
        first_ended.wait(60)

    def second() -> None:
        with single_blas_thread():
            both_started.wait(60)
            first_ended.wait(60)
            seen.append(blas_threads())
        checked.wait(60)

    with threadpool_limits(2, "blas"), ThreadPoolExecutor(2) as pool:
        assert blas_threads() == {2}
        running = [pool.submit(first), pool.submit(second)]
        checked.wait(60)
        assert blas_threads() == {2}
        for future in running:
            future.result()
    assert seen == [{1}]
