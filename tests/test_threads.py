"""Work on several frames at once comes back in their order, runs at once, and holds no more of them than it says."""

import threading

import pytest

from track2view_core.threads import each, one_ahead


def test_results_come_in_the_order_of_the_items_which_run_at_once(monkeypatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    later = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert later.wait(10)
        later.set()
        return 10 * item

    assert list(each(work, range(3))) == [0, 10, 20]


def test_one_item_is_worked_on_while_the_caller_has_the_one_before() -> None:
    taken, second = [], threading.Event()

    def items():
        for item in range(5):
            taken.append(item)
            yield item

    def work(item: int) -> int:
        if item == 1:
            second.set()
        return item

    results = one_ahead(work, items())
    assert next(results) == 0 and second.wait(10)
    assert taken == [0, 1]
    assert list(results) == [1, 2, 3, 4]


@pytest.mark.parametrize("work", [each, one_ahead])
def test_what_an_item_raises_reaches_the_caller(work) -> None:
    with pytest.raises(ZeroDivisionError):
        list(work(lambda item: 1 // item, [1, 0]))
