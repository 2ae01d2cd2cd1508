"""Signals that tell the process to end, whichever thread the kernel gives them to."""

import signal
import threading

import pytest

from precache.wiring.commands.serving import ENDING, EndSignals


@pytest.fixture(autouse=True)
def usual_signals():
    handlers = {number: signal.getsignal(number) for number in ENDING}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def told_in_another_thread(number):
    thread = threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), number))
    thread.start()
    return thread


@pytest.mark.parametrize("number", sorted(ENDING))
def test_a_signal_is_noticed_though_another_thread_handles_it(number):
    signals = EndSignals()
    waits = threading.Timer(0.1, told_in_another_thread, [number])
    waits.start()

    signals.wait()


def test_a_signal_that_came_before_is_not_lost():
    signals = EndSignals()
    signal.raise_signal(signal.SIGTERM)

    signals.wait()
