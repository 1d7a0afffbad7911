"""What a landing holds of replies: in order, within the bound, and never for ever."""

from concurrent.futures import ThreadPoolExecutor, wait

from cilake.landing.budget import ByteBudget


def test_later_requests_wait_for_room_and_the_first_never_does():
    budget = ByteBudget(10)
    first, second, third = (budget.share() for _ in range(3))
    with ThreadPoolExecutor(2) as pool:
        second.take(8)
        waiting = pool.submit(third.take, 5)
        assert wait([waiting], timeout=0.2).not_done, "8 and 5 are more than 10"
        first.take(100)
        assert budget.held_bytes == 108, "the first one is never held up"
        first.close()
        assert wait([waiting], timeout=0.2).not_done
        second.close()
        waiting.result(timeout=10)
    assert budget.held_bytes == 5
    third.give_back()
    third.take(3)
    assert budget.held_bytes == 3, "a request that starts again holds only what it has now"
    third.close()
    assert budget.held_bytes == 0


def test_a_share_that_nobody_waits_for_holds_nothing_and_holds_nobody_up():
    budget = ByteBudget(1)
    first, second = budget.share(), budget.share()
    first.take(1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second.take, 5)
        second.close()
        waiting.result(timeout=10)
    assert budget.held_bytes == 1
