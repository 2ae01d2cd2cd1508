"""A thread that ends by a bug is noticed, and ends the process."""

import subprocess
import sys
import threading

import pytest

from precache.background.dead_threads import DeadThreads
from precache.core.errors import ThreadDied

PROGRAM = """
import threading
from precache.wiring.commands.serving import serve_until_told

def break_down():
    raise ValueError("a bug")

class Service:
    def start(self):
        threading.Thread(target=break_down, name="lease-keeper", daemon=True).start()
        threading.Thread(target=threading.Event().wait, daemon=True).start()  # waits for ever
        return ""

    def stop(self):
        print("stopped", flush=True)

serve_until_told(Service(), print_message=lambda words: print(words, flush=True), greeting=str, farewell="farewell")
"""


def test_the_first_thread_that_breaks_is_reported_with_its_name_and_its_error(caplog):
    noticed = threading.Event()
    deaths = DeadThreads(then=noticed.set)

    def break_down():
        raise ValueError("a bug")

    with deaths.watched():
        deaths.check()
        for name in ("claims", "later"):
            thread = threading.Thread(target=break_down, name=name)
            thread.start()
            thread.join()

    assert noticed.is_set()
    with pytest.raises(ThreadDied, match=r"The thread claims ended by a bug \(ValueError: a bug\)"):
        deaths.check()
    assert "Traceback" in caplog.text


def test_a_thread_that_ends_as_it_wants_to_is_no_death():
    deaths = DeadThreads(then=lambda: pytest.fail("nothing died"))

    with deaths.watched():
        for target in (sys.exit, lambda: None):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()

    deaths.check()


def test_a_process_whose_thread_broke_stops_its_service_and_fails_with_one_sentence():
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 1
    assert "stopped" in ended.stdout
    assert "The thread lease-keeper ended by a bug (ValueError: a bug)" in ended.stdout
