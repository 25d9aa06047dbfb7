"""Work on several frames at once comes back in their order."""

import threading

import pytest

from track2view_core.threads import each


def test_results_come_in_the_order_of_the_items_which_run_at_once(monkeypatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    later = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert later.wait(10)
        later.set()
        return 10 * item

    assert list(each(work, range(3))) == [0, 10, 20]


def test_what_an_item_raises_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(each(lambda item: 1 // item, [1, 0]))
