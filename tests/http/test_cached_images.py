"""Lists of what the caches hold that are longer than a page, with filters that the store does not know."""

import falcon.testing

from precache.api.handlers.pages import MOST_ITEMS
from precache.api.identity import noauth
from precache.core.cache_entries import CachedEntry, CacheReport, entry_name
from precache.core.hosts import Heartbeat
from tests.http.world import DEBIAN, World


def report(host, world):
    entry = CachedEntry(entry=entry_name(DEBIAN), image=DEBIAN)
    return CacheReport(
        host=host, cell="", boot_id="b", sequence=1, base=1, at=world.clock.now(), space=None, entries=(entry,)
    )


def test_hosts_are_filtered_by_state_and_cell_over_all_pages_of_the_store():
    world = World()
    down = [f"a-{number:05}" for number in range(MOST_ITEMS + 10)]
    up = ["b-1", "b-2", "b-3"]
    world.inventory.store_heartbeats([Heartbeat(host, "cell8", "libvirt", world.clock.now()) for host in (*down, *up)])
    for host in down:
        world.inventory.set_forced_down(host, True)
    world.caches.store_reports([report(host, world) for host in (*down, *up)])
    client = falcon.testing.TestClient(noauth(world.app))

    def hosts(query):
        answer = client.simulate_get(f"/v1/images/{DEBIAN}/hosts", query_string=query).json
        return [each["host"] for each in answer["hosts"]], "hosts_links" in answer

    assert hosts("host_state=up") == (up, False)
    assert hosts("host_state=up&limit=2") == (up[:2], True)
    assert hosts("host_state=up&limit=2&marker=b-2") == (up[2:], False)
    assert hosts("host_state=down&cell=cell8&limit=1000") == (down[:1000], True)
    assert hosts("cell=cell9") == ([], False)
