"""In which order the hosts of a site are called."""

from precache.conductor.order_calls import OrderCalls
from precache.core.errors import StoreUnavailable
from precache.core.host_rates import HostRates
from precache.core.hosts import Host

HOSTS = [Host(name, "cell1") for name in "abcde"]
RATES = {"b": HostRates(900, 100), "d": HostRates(700, 100), "c": HostRates(100, 300), "e": HostRates(950, 100)}


class Store:
    def __init__(self, tasks=None, is_up=True):
        self.tasks, self.is_up = tasks or {}, is_up

    def find_rates(self, hosts):
        if not self.is_up:
            raise StoreUnavailable("db", "it is down")
        return {name: rates for name, rates in RATES.items() if name in hosts}

    def running_tasks(self, hosts):
        return self.tasks


def order(store):
    return "".join(host.name for host in OrderCalls(rates=store, load=store)(HOSTS))


def test_the_best_and_least_busy_uplinks_come_first_then_fast_links():
    assert order(Store()) == "ebcad"
    assert order(Store(tasks={"e": 2, "b": 1})) == "dcabe"


def test_without_the_store_the_order_is_that_of_the_request(caplog):
    assert order(Store(is_up=False)) == "abcde"
    assert "The hosts of site cell1 are called in the order of the request" in caplog.text
