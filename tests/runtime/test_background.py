"""Background threads: results, errors, and what is given up."""

from threading import Event

import pytest

from dlc.background import Background


def test_tasks_are_worked_off_in_order() -> None:
    seen: list[int] = []
    with Background() as threads:
        tasks = [threads.submit(lambda n=n: seen.append(n) or n * n) for n in range(5)]
        assert [task.result() for task in tasks] == [0, 1, 4, 9, 16]
    assert seen == [0, 1, 2, 3, 4] and all(task.done() for task in tasks)


def test_an_error_comes_out_where_the_result_is_asked_for() -> None:
    with Background(2) as threads:
        task = threads.submit(lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            task.result()


def test_what_has_not_begun_can_be_given_up() -> None:
    begun, go_on = Event(), Event()
    threads = Background()
    first = threads.submit(lambda: begun.set() or go_on.wait(10))
    second, third = threads.submit(lambda: 2), threads.submit(lambda: 3)
    begun.wait(10)
    assert second.cancel() and not first.cancel() and not first.done()
    go_on.set()
    assert third.result() == 3 and first.result()
    threads.close()
    with pytest.raises(RuntimeError, match="given up"):
        second.result()


def test_closing_gives_up_what_waits() -> None:
    begun, go_on = Event(), Event()
    threads = Background()
    first = threads.submit(lambda: begun.set() or go_on.wait(10))
    second = threads.submit(lambda: go_on.set())
    begun.wait(10)
    threads.submit(lambda: None)
    assert second.cancel()
    go_on.set()
    threads.close()
    assert first.done() and second.done()
