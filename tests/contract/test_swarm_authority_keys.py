"""The keys of the authority in every database: encrypted, made once, and renewed without an interruption."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.swarm_authority import AuthorityKey, SqlAuthorityKeys, StoredAuthority, add_next
from precache.core.errors import InvalidConfiguration, SecretUnreadable, StoreUnavailable
from precache.ports.swarm_trust import RootStatement
from precache.swarm.host_trust import HostTrust

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LIFETIME = timedelta(hours=4)
OLD_KEY, NEW_KEY = Fernet.generate_key().decode(), Fernet.generate_key().decode()
ROOT = RootStatement("relay", "tree-sha256:" + "ab" * 32, 65_536)


@pytest.fixture
def database(database_stores):
    return database_stores.database


def keys_in(database, *encryption_keys):
    return SqlAuthorityKeys(database=database, keys=encryption_keys or [OLD_KEY])


def conductor(database, clock, keys=None):
    return StoredAuthority(keys=keys or keys_in(database), clock=clock, certificate_lifetime=LIFETIME)


def host_of(authority, clock, name="one"):
    trust = HostTrust(host=name, cell="cell1", clock=clock)
    trust.install(authority.certify(name, "cell1", "site1", trust.signing_request()))
    return trust


def test_a_key_is_read_as_it_was_stored_and_is_not_stored_in_clear(database):
    key = AuthorityKey.create(now=NOW)
    keys_in(database).add_first(key)

    [found] = keys_in(database).list_keys()

    assert (found.key_pem, found.certificate, found.signs_from) == (key.key_pem, key.certificate, NOW)
    with database.read() as connection:
        [row] = connection.execute(text("SELECT secret, certificate FROM swarm_authorities")).all()
    body = key.key_pem.splitlines()[1]
    assert body not in row.secret
    assert "PRIVATE" not in row.secret + row.certificate


def test_of_many_conductors_that_start_at_once_one_makes_the_key(database):
    clock = MemoryClock(start=NOW)

    with ThreadPoolExecutor(8) as pool:
        signed = list(pool.map(lambda _one: conductor(database, clock).root(ROOT), range(8)))

    assert len(keys_in(database).list_keys()) == 1
    host = host_of(conductor(database, clock), clock)
    assert [host.read_root(each) for each in signed] == [ROOT] * 8


def test_of_many_conductors_that_renew_at_once_one_makes_the_next_key(database):
    keys = keys_in(database)
    keys.add_first(first := AuthorityKey.create(now=NOW))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _one: add_next(keys_in(database), first, NOW, LIFETIME), range(8)))

    assert len(keys.list_keys()) == 2


def test_hosts_with_old_and_new_certificates_trust_each_other_while_the_key_is_renewed(database):
    clock = MemoryClock(start=NOW)
    ours = conductor(database, clock)
    before = host_of(ours, clock, "before")
    [first] = keys_in(database).list_keys()
    add_next(keys_in(database), first, clock.now(), LIFETIME)

    clock.advance(timedelta(minutes=1))
    middle = host_of(ours, clock, "middle")
    assert before.read_root(ours.root(ROOT)) == ROOT
    assert middle.read_root(ours.root(ROOT)) == ROOT

    by_first = ours.root(ROOT)
    clock.advance(LIFETIME / 2)
    middle.install(ours.certify("middle", "cell1", "site1", middle.signing_request()))
    clock.advance(LIFETIME / 2 + timedelta(minutes=10))
    after, by_second = host_of(ours, clock, "after"), ours.root(ROOT)
    assert middle.read_root(by_second) == ROOT
    assert after.read_root(by_first) == ROOT
    assert not before.is_certified

    clock.advance(LIFETIME + timedelta(minutes=10))
    assert host_of(ours, clock, "last").read_root(by_first) is None


def test_a_conductor_renews_the_key_in_its_last_year(database):
    clock = MemoryClock(start=NOW)
    ours = conductor(database, clock)
    ours.root(ROOT)
    clock.advance(timedelta(days=9 * 365 - 1))
    ours.root(ROOT)
    assert len(keys_in(database).list_keys()) == 1

    clock.advance(timedelta(days=2))
    ours.root(ROOT)
    conductor(database, clock).root(ROOT)

    assert len(keys_in(database).list_keys()) == 2


def test_a_key_that_replaces_all_is_used_within_a_minute_and_the_old_one_is_forgotten(database):
    clock = MemoryClock(start=NOW)
    ours = conductor(database, clock)
    host, stolen = host_of(ours, clock), ours.root(ROOT)
    keys_in(database).replace_all(AuthorityKey.create(now=NOW))

    clock.advance(timedelta(minutes=1))

    assert host.read_root(ours.root(ROOT)) is None
    host.install(ours.certify("one", "cell1", "site1", host.signing_request()))
    assert host.read_root(ours.root(ROOT)) == ROOT
    assert host.read_root(stolen) is None


def test_the_key_follows_the_rotation_of_encryption_keys(database):
    keys_in(database, OLD_KEY).add_first(key := AuthorityKey.create(now=NOW))
    both = keys_in(database, NEW_KEY, OLD_KEY)
    assert [found.key_pem for found in both.list_keys()] == [key.key_pem]

    assert both.encrypt_again() == 1

    assert [found.key_pem for found in keys_in(database, NEW_KEY).list_keys()] == [key.key_pem]
    with pytest.raises(SecretUnreadable):
        keys_in(database, OLD_KEY).list_keys()


def test_without_its_encryption_key_the_error_says_what_to_do(database):
    keys_in(database, OLD_KEY).add_first(AuthorityKey.create(now=NOW))

    with pytest.raises(SecretUnreadable, match=r"swarm's authority cannot be decrypted.*encryption_keys") as caught:
        keys_in(database, NEW_KEY).list_keys()
    assert "precache swarm authority renew --at-once" in caught.value.advice

    keys_in(database, NEW_KEY).replace_all(AuthorityKey.create(now=NOW))
    assert len(keys_in(database, NEW_KEY).list_keys()) == 1


def test_without_encryption_keys_no_key_is_stored(database):
    unencrypted = SqlAuthorityKeys(database=database, keys=[])

    with pytest.raises(InvalidConfiguration, match=r"\[database\] encryption_keys is not set.*precache config key"):
        conductor(database, MemoryClock(), unencrypted).root(ROOT)

    assert unencrypted.list_keys() == []


def test_a_conductor_goes_on_to_sign_while_its_database_is_down(database):
    class Down(SqlAuthorityKeys):
        is_down = False

        def list_keys(self):
            if self.is_down:
                raise StoreUnavailable("the database is down")
            return super().list_keys()

    clock, keys = MemoryClock(start=NOW), Down(database=database, keys=[OLD_KEY])
    ours = conductor(database, clock, keys)
    host = host_of(ours, clock)
    keys.is_down = True
    clock.advance(timedelta(minutes=2))

    assert host.read_root(ours.root(ROOT)) == ROOT
    with pytest.raises(StoreUnavailable):
        conductor(database, clock, keys).root(ROOT)
