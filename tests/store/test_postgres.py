"""A store in PostgreSQL: what a server, a network and other people do to it. The suite of all backends is in test_backends.py.

Tests of store/postgres/backend.py, store/postgres/batch.py, store/postgres/connections.py, store/postgres/errors.py,
store/postgres/kind.py, store/postgres/loss.py, store/postgres/scan.py, store/postgres/schema.py,
store/postgres/url.py, store/postgres/writer.py, store/loss.py and testing/postgres_server.py.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread
from urllib.parse import quote

import psycopg
import pytest

from understudy.objects.codec import raw_block
from understudy.store.errors import StoreError, StoreFormat, StoreFull, StoreInUse, StoreLost
from understudy.store.keys import FEED
from understudy.store.open import find_loss, is_made, kind_of, open_store, shown_store, store_folder
from understudy.store.port import Move, Row, Unit
from understudy.store.postgres import batch, connections, kind, schema
from understudy.store.postgres.backend import PostgresBackend
from understudy.store.postgres.url import read_url
from understudy.store.postgres.writer import Writer
from understudy.testing.place import named_step
from understudy.testing.postgres_server import GUARDED, PASSWORD, NoServer, PostgresServer


@pytest.fixture
def url(postgres, tmp_path, monkeypatch):
    """A store of this test alone, which is not made yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    name = f"test_{sha256(str(tmp_path).encode()).hexdigest()[:16]}"
    postgres.execute(f"CREATE SCHEMA {name}")
    return postgres.url(schema=name)


@pytest.fixture
def store(url) -> Iterator[PostgresBackend]:
    opened = open_store(url)
    assert isinstance(opened, PostgresBackend)
    yield opened
    opened.close()


def link(number: int) -> Unit:
    """One of a chain of units: the head moves from the one before to this one."""
    step = named_step(str(number))
    before = named_step(str(number - 1)) if number > 1 else None
    return Unit(
        blocks=[raw_block(b"%d" % number)],
        moves=[Move(b"head/x", before, step)],
        rows=[Row(b"i%06d" % number, b"v"), Row(b"i%06d" % (number - 1), None)],
        feed=[step],
    )


def check_chain(store, length: int) -> None:
    """All of the chain is there, each unit once and in order."""
    assert [step for _, step in store.rows(FEED)] == [named_step(str(number)) for number in range(1, length + 1)]
    assert store.ref(b"head/x") == named_step(str(length))
    assert [key for key, _ in store.rows(b"i")] == [b"i%06d" % length]
    assert len(list(store.ids())) == length


def pids(postgres: PostgresServer, url: str) -> list[str]:
    """The processes of the server that hold a store's lock."""
    name = url.rpartition("%3D")[2]
    return postgres.execute(
        f"SELECT l.pid FROM pg_locks l JOIN pg_namespace n ON l.objid = n.oid WHERE l.locktype = 'advisory' AND nspname = '{name}'"
    ).split()


class Chain(Thread):
    """Commits a chain, three units at a time, until told to stop; notes what was acknowledged."""

    def __init__(self, store) -> None:
        super().__init__()
        self.store, self.length = store, 0
        self.failure: BaseException | None = None
        self.enough = Event()
        self.moved = Event()

    def run(self) -> None:
        try:
            while not self.enough.is_set():
                receipts = self.store.commit([link(self.length + number) for number in (1, 2, 3)])
                assert [receipt.feed for receipt in receipts] == [self.length + number for number in (1, 2, 3)]
                self.length += 3
                self.moved.set()
        except BaseException as error:
            self.failure = error
            self.moved.set()

    def go_on(self) -> None:
        """Wait until another commit was acknowledged."""
        self.moved.clear()
        assert self.moved.wait(60)
        assert self.failure is None

    def end(self) -> None:
        self.enough.set()
        self.join(60)
        assert self.failure is None


# A server, or a network, that goes away.


def test_connections_that_are_cut_lose_nothing_and_repeat_nothing(postgres, store):
    chain = Chain(store)
    chain.start()
    for _ in range(8):
        chain.go_on()
        postgres.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'understudy'"
        )
    chain.go_on()
    chain.end()
    check_chain(store, chain.length)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_server_that_crashes_or_restarts_is_waited_for(postgres, store, how):
    chain = Chain(store)
    chain.start()
    chain.go_on()
    postgres.stop(how)
    postgres.start()
    chain.go_on()
    chain.end()
    check_chain(store, chain.length)


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("written", [False, True])
def test_a_batch_whose_answer_is_lost_is_there_once_with_its_receipts(
    postgres, url, store, monkeypatch, written, parts
):
    if parts:
        monkeypatch.setattr(batch, "PART_BYTES", 1)
    send = Writer._send
    lost: list[str] = []

    def lose(self, made, id):
        base = send(self, made, id) if written or lost else None
        if not lost:
            lost.extend(pids(postgres, url))
            postgres.execute(f"SELECT pg_terminate_backend({lost[0]})")
            self._connection.execute("SELECT 1")
        return base

    store.commit([link(1)])
    monkeypatch.setattr(Writer, "_send", lose)
    refused = Unit(moves=[Move(b"head/x", None, b"no")], feed=[named_step("no")])
    receipts = store.commit([link(2), refused, link(3)])
    assert [receipt.feed for receipt in receipts] == [2, 0, 3] and lost
    assert receipts[1].found == named_step("2")
    check_chain(store, 3)


def test_who_was_away_while_another_one_opened_the_store_writes_no_more(postgres, url, store):
    store.commit([link(1)])
    (pid,) = pids(postgres, url)
    # Its connection is gone, as after a pause that the server did not wait for.
    postgres.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
    other = open_store(url)
    for _ in range(2):
        with pytest.raises(StoreInUse, match="process"):
            store.commit([link(2)])
    with pytest.raises(StoreInUse):
        store.ref(b"head/x")
    other.commit([link(2)])
    check_chain(other, 2)
    other.close()


def test_a_writer_is_shut_out_by_the_next_one_even_where_locks_hold_nothing(postgres, url, store):
    # A pooler between the two may give the lock back with its connection: then the row of the store decides.
    store.commit([link(1)])
    name = url.rpartition("%3D")[2]
    postgres.execute(rf"UPDATE {name}.understudy_store SET writer = '\x00', holder = 'somebody'")
    with pytest.raises(StoreInUse, match="somebody"):
        store.commit([link(2)])
    view = open_store(url, read_only=True)
    check_chain(view, 1)
    view.close()


def test_a_pooler_that_puts_another_process_behind_the_connection_gets_nothing_written(url, store):
    # That process has neither the lock nor our settings: it may acknowledge what is not durable.
    store.commit([link(1)])
    ours = store._writer._connection
    store._writer._connection = connections.connect(read_url(url.partition(":")[2]), primary=True)
    for units in ([link(2)], [link(2), link(3)]):
        with pytest.raises(StoreError, match="a transaction at a time"):
            store.commit(units)
    ours.close()
    view = open_store(url, read_only=True)
    check_chain(view, 1)
    view.close()


def test_a_prepared_statement_that_is_gone_is_put_down_to_a_pooler(store):
    # Where a pooler is, that is the first thing to fail: the statement was prepared in another process of the server.
    store.commit([link(1)])
    store.commit([link(2)])
    store._writer.ask("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
    with pytest.raises(StoreError, match="A pooler stands between"):
        store.commit([link(3)])


def test_a_server_that_stays_away_ends_the_wait_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(connections, "AWAY_SECONDS", 0.3)
    server = PostgresServer("fsync=off", "shared_buffers=1MB")
    try:
        store = open_store(server.url())
        store.commit([link(1)])
        server.stop(signal.SIGKILL)
        waits = list[bool]()
        with monkeypatch.context() as patch:
            wait = connections.Patience.wait

            def note(self):
                waits.append(wait(self))
                return waits[-1]

            patch.setattr(connections.Patience, "wait", note)
            for number in range(3):
                with pytest.raises(StoreError, match=r"127\.0\.0\.1"):
                    store.ref(b"head/x")
                # The first one waits. Who asks later is told at once, or a node would answer nobody.
                assert any(waits) == (number == 0)
                waits.clear()
        # Who only reads is answered again when the server is back, without a new start.
        server.start()
        check_chain(store, 1)
        server.stop(signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(StoreError):
                store.commit([link(2)])
        server.start()
        # What was refused stays refused until the store is opened again.
        with pytest.raises(StoreError):
            store.row(b"i")
        store.close()
        again = open_store(server.url())
        check_chain(again, 1)
        again.close()
    finally:
        server.remove()


_OWNER = """
from understudy.testing.postgres_server import PostgresServer
server = PostgresServer("fsync=off", "shared_buffers=1MB")
print(server.port, server.folder, flush=True)
input()
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_of_a_test_ends_with_the_process_that_started_it(postgres, how):
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with owner:
        assert owner.stdout is not None
        port, folder = owner.stdout.readline().split()
        owner.send_signal(how)
    until = time.monotonic() + 30
    while Path(folder).exists():
        assert time.monotonic() < until, "the server still runs"
        time.sleep(0.02)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)))


# A standby.


@pytest.fixture
def pair(tmp_path, monkeypatch) -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A server, and a standby that follows it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with ExitStack() as ends:
        try:
            primary = PostgresServer("fsync=off", "shared_buffers=1MB")
            ends.callback(primary.remove)
            standby = PostgresServer("fsync=off", "shared_buffers=1MB", primary=primary)
            ends.callback(standby.remove)
        except NoServer as missing:
            pytest.skip(str(missing))
        yield primary, standby


def either(*servers: PostgresServer) -> str:
    """A URL that names them all."""
    return f"postgresql://postgres@{','.join(f'127.0.0.1:{server.port}' for server in servers)}/postgres"


def test_a_promoted_standby_is_written_on_without_a_new_start(pair):
    primary, standby = pair
    # The primary answers once the standby has it, too.
    primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.execute("SELECT pg_reload_conf()")
    store = open_store(either(standby, primary))
    chain = Chain(store)
    chain.start()
    chain.go_on()
    view = open_store(standby.url(), read_only=True)
    assert len(list(view.rows(FEED))) >= 3
    view.close()
    with pytest.raises(StoreError, match=r"standby|read-only|read-write"):
        open_store(standby.url())
    primary.stop(signal.SIGKILL)
    standby.execute("SELECT pg_promote()")
    chain.go_on()
    chain.end()
    check_chain(store, chain.length)
    store.close()


def test_a_node_that_writes_never_reads_from_a_standby_that_is_behind(pair):
    primary, standby = pair
    for attributes in ("", "?target_session_attrs=any", "?target_session_attrs=prefer-standby"):
        store = open_store(either(standby, primary) + attributes)
        number = len(list(store.rows(FEED))) + 1
        store.commit([link(number)])
        standby.execute("SELECT pg_wal_replay_pause()")
        store.commit([link(number + 1)])
        check_chain(store, number + 1)
        store.close()
        standby.execute("SELECT pg_wal_replay_resume()")


def test_a_promoted_standby_that_lacks_what_was_acknowledged_is_not_written(pair):
    primary, standby = pair
    url = either(primary, standby)
    store = open_store(url)
    store.commit([link(1)])
    primary.execute("SELECT pg_switch_wal()")
    while (
        standby.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'understudy_store'") != "1"
        or standby.execute("SELECT feed FROM understudy_store") != "1"
    ):
        pass
    standby.stop(signal.SIGKILL)
    store.commit([link(2)])
    primary.stop(signal.SIGKILL)
    standby.start()
    standby.execute("SELECT pg_promote()")
    for _ in range(2):
        with pytest.raises(StoreLost, match="2 commits, and now 1"):
            store.commit([link(3)])
    store.close()
    with pytest.raises(StoreLost, match="feed numbers 2 are gone"):
        open_store(url)
    again = open_store(url, accept_loss=True)
    check_chain(again, 1)
    again.close()


# What a database was told to do by default.


def test_time_limits_and_lazy_commits_of_a_user_are_not_ours(postgres, url):
    postgres.execute("CREATE ROLE hasty SUPERUSER LOGIN")
    for setting in ("statement_timeout = '1s'", "lock_timeout = '1s'", "synchronous_commit = off"):
        postgres.execute(f"ALTER ROLE hasty SET {setting}")
    store = open_store(url.replace("postgres@", "hasty@"))
    on_blocks(postgres, url, "PERFORM pg_sleep(1.5); RETURN NULL;")
    store.commit([link(1)])
    check_chain(store, 1)
    assert isinstance(store, PostgresBackend) and store._writer is not None
    assert store._writer.ask("SHOW synchronous_commit") == [("on",)]
    store.close()


def test_a_setting_that_changes_under_an_open_store_leaves_its_commits_durable(postgres, store):
    assert store._writer.ask("SHOW synchronous_commit") == [("on",)]
    try:
        postgres.execute("ALTER SYSTEM SET synchronous_commit = off")
        postgres.execute("SELECT pg_reload_conf()")
        while postgres.execute("SHOW synchronous_commit") != "off":
            pass
        for number in (1, 2):
            # A connection reads the new configuration between two statements.
            store.commit([link(number)])
        assert store._writer.ask("SHOW synchronous_commit") == [("on",)]
    finally:
        postgres.execute("ALTER SYSTEM RESET synchronous_commit")
        postgres.execute("SELECT pg_reload_conf()")


def test_a_server_that_writes_nothing_to_its_disk_is_told_of_once(url, caplog):
    # The server of the tests is one.
    open_store(url).close()
    assert [record.levelname for record in caplog.records if "fsync is off" in record.message] == ["WARNING"]
    caplog.clear()
    open_store(url, read_only=True).close()
    assert not caplog.records


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_the_isolation_that_a_user_has_by_default_is_not_ours(postgres, url, level):
    role = f"strict_{level.partition(' ')[0]}"
    postgres.execute(f"CREATE ROLE {role} SUPERUSER LOGIN")
    postgres.execute(f"ALTER ROLE {role} SET default_transaction_isolation = '{level}'")
    store = open_store(url.replace("postgres@", f"{role}@"))
    assert isinstance(store, PostgresBackend) and store._writer is not None
    assert store._writer.ask("SHOW transaction_isolation") == [("read committed",)]
    assert store._ask("SHOW transaction_isolation") == [("read committed",)]
    store.commit([link(1)])
    store.close()


def test_a_commit_that_somebody_cancels_is_tried_again(postgres, url, store):
    name = url.rpartition("%3D")[2]
    postgres.execute(f"CREATE SEQUENCE {name}.tries")
    cancelled = "RAISE 'canceling statement due to user request' USING ERRCODE = '57014'"
    on_blocks(postgres, url, f"IF nextval('{name}.tries') < 3 THEN {cancelled}; END IF; RETURN NULL;")
    assert [receipt.feed for receipt in store.commit([link(1), link(2)])] == [1, 2]
    check_chain(store, 2)


def on_blocks(postgres: PostgresServer, url: str, body: str) -> None:
    """Have the server do something before it writes blocks."""
    name = url.rpartition("%3D")[2]
    postgres.execute(
        f"CREATE FUNCTION {name}.does() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
        f"CREATE TRIGGER does BEFORE INSERT ON {name}.understudy_blocks EXECUTE FUNCTION {name}.does()"
    )


def test_a_server_without_room_says_so_and_nothing_of_the_unit_is_there(postgres, url, store):
    store.commit([link(1)])
    on_blocks(postgres, url, "RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100';")
    for _ in range(2):
        with pytest.raises(StoreFull, match="No space left"):
            store.commit([link(2)])
    view = open_store(url, read_only=True)
    check_chain(view, 1)
    view.close()


def test_a_very_large_unit_goes_in_parts_and_is_whole_or_absent(store, monkeypatch):
    monkeypatch.setattr(batch, "PART_BYTES", 100_000)
    blocks = [raw_block(bytes([number]) * 70_000) for number in range(5)]
    (receipt,) = store.commit([Unit(blocks=blocks, moves=[Move(b"name/a", b"other", b"1")])])
    assert receipt.conflict is not None and not list(store.ids())
    (receipt,) = store.commit([Unit(blocks=blocks, moves=[Move(b"name/a", None, b"1")], feed=[named_step("1")])])
    assert receipt.feed == 1
    assert store.get([block.id for block in blocks]) == [block.data for block in blocks]


def test_a_view_sees_the_moment_at_which_it_was_opened(url, store):
    store.commit([link(1)])
    view = open_store(url, read_only=True)
    store.commit([link(2)])
    check_chain(view, 1)
    view.close()
    with pytest.raises(StoreError, match="closed"):
        view.ref(b"head/x")


# Versions.


def test_a_schema_of_a_newer_version_is_left_alone(postgres, url, store):
    store.close()
    name = url.rpartition("%3D")[2]
    postgres.execute(f"UPDATE {name}.understudy_store SET version = 99")
    for read_only in (False, True):
        with pytest.raises(StoreFormat, match="99"):
            open_store(url, read_only=read_only)
    assert postgres.execute(f"SELECT version FROM {name}.understudy_store") == "99"


def test_an_older_schema_is_brought_forward_once_by_who_writes(postgres, url, store, monkeypatch):
    store.commit([link(1)])
    store.close()
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE understudy_more (x integer)"))
    with pytest.raises(StoreFormat, match="open it once for writing"):
        open_store(url, read_only=True)
    for _ in range(2):
        again = open_store(url)
        check_chain(again, 1)
        again.close()
    name = url.rpartition("%3D")[2]
    assert postgres.execute(f"SELECT version FROM {name}.understudy_store") == "2"


def test_a_migration_that_fails_leaves_the_schema_as_it_was(postgres, url, store, monkeypatch):
    store.commit([link(1)])
    store.close()
    with monkeypatch.context() as patch:
        patch.setattr(
            schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE understudy_more (x int)", "SELECT 1 / 0")
        )
        with pytest.raises(StoreError, match="division"):
            open_store(url)
    again = open_store(url)
    check_chain(again, 1)
    again.close()


# Loss.


def test_a_database_that_was_put_back_is_noticed_until_that_is_accepted(postgres, url, store):
    store.commit([link(1), link(2)])
    store.close()
    name = url.rpartition("%3D")[2]
    postgres.execute(
        f"UPDATE {name}.understudy_store SET feed = 1, commits = commits - 1;"
        f"DELETE FROM {name}.understudy_rows WHERE key = '\\x66'::bytea || int8send(2)"
    )
    assert "feed numbers 2 are gone" in (find_loss(url) or "")
    with pytest.raises(StoreLost, match="accept-loss"):
        open_store(url)
    open_store(url, accept_loss=True).close()
    assert find_loss(url) is None
    open_store(url).close()


def test_a_database_that_is_empty_now_is_no_new_store(postgres, url, store):
    store.commit([link(1)])
    store.close()
    name = url.rpartition("%3D")[2]
    postgres.execute(f"DROP SCHEMA {name} CASCADE; CREATE SCHEMA {name}")
    assert not is_made(url)
    with pytest.raises(StoreLost, match="high-water"):
        open_store(url)
    assert not is_made(url)
    folder = store_folder(url)
    assert folder is not None
    (folder / "high-water").unlink()
    open_store(url).close()


def test_a_server_that_comes_back_without_what_it_acknowledged_is_written_no_more(postgres, url, store):
    store.commit([link(1)])
    store.commit([link(2)])
    name, (pid,) = url.rpartition("%3D")[2], pids(postgres, url)
    postgres.execute(
        f"SELECT pg_terminate_backend({pid}, 5000); UPDATE {name}.understudy_store SET commits = commits - 1"
    )
    for _ in range(2):
        with pytest.raises(StoreLost, match="2 commits, and now 1"):
            store.commit([link(3)])


# Passwords.


@pytest.fixture
def guarded(postgres, tmp_path, monkeypatch):
    """A database of a user with a password; the URL without it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    name = f"own_{sha256(str(tmp_path).encode()).hexdigest()[:16]}"
    postgres.execute(
        f"DO $$ BEGIN CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}'; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    postgres.execute(f"CREATE SCHEMA {name} AUTHORIZATION {GUARDED}")
    return postgres.url(schema=name, user=GUARDED)


def with_password(url: str, password: str) -> str:
    return url.replace("@", f":{password}@", 1)


def test_a_password_in_the_url_or_by_libpqs_own_means_opens_the_store(guarded, tmp_path, monkeypatch):
    url = with_password(guarded, quote(PASSWORD, safe=""))
    open_store(url).close()
    assert is_made(url) and shown_store(url) == guarded
    assert store_folder(url) == store_folder(guarded) == store_folder(f"{guarded}&sslmode=prefer")
    with pytest.raises(StoreError, match="no password supplied"):
        open_store(guarded)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    open_store(guarded).close()
    monkeypatch.delenv("PGPASSWORD")
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:*:{PASSWORD.replace(':', chr(92) + ':')}\n")
    passfile.chmod(0o600)
    open_store(f"{guarded}&passfile={quote(str(passfile), safe='')}").close()


SECRET = "hunter2"


@pytest.mark.parametrize(
    "wrong",
    [
        f"postgresql://{GUARDED}:{SECRET}@127.0.0.1:PORT/postgres",
        f"postgresql://{GUARDED}:{SECRET}@127.0.0.1:PORT/none",
        f"postgresql://{GUARDED}:{SECRET}@127.0.0.1:1/postgres",
        f"postgresql://{GUARDED}:{SECRET}@127.0.0.1:x{SECRET}/postgres",
        f"postgresql://{GUARDED}:{SECRET}@[::1/postgres",
        f"postgresql://{GUARDED}:{SECRET}@no.such.host.invalid/postgres",
        f"postgresql://{GUARDED}:{SECRET}/more@127.0.0.1:PORT/postgres",
        f"postgresql://{GUARDED}:{SECRET}%zz@127.0.0.1:PORT/postgres",
        f"postgresql://{GUARDED}:{SECRET}@more@127.0.0.1:PORT/postgres",
        f"postgresql://{GUARDED}:{SECRET} @127.0.0.1:PORT/postgres",
        f"postgresql://{GUARDED}@127.0.0.1:PORT/postgres?password={SECRET}",
        f"postgresql://{GUARDED}@127.0.0.1:PORT/postgres?password={SECRET}=",
        f"postgresql://{GUARDED}@127.0.0.1:PORT/postgres?pasword={SECRET}",
        f"postgresql://{GUARDED}@127.0.0.1:PORT/postgres?sslpassword={SECRET}&sslmode=never",
        f"postgresql://{GUARDED}@127.0.0.1:PORT/postgres?connect_timeout=x&password={SECRET}",
        f"postgresql:{GUARDED}:{SECRET}@127.0.0.1:PORT/postgres",
        f"postgres://{GUARDED}:{SECRET}@127.0.0.1:PORT/postgres",
    ],
)
def test_no_error_shows_a_password(postgres, guarded, caplog, wrong):
    url = wrong.replace("PORT", str(postgres.port))
    for use in (open_store, is_made, lambda url: open_store(url, read_only=True)):
        with pytest.raises(StoreError) as caught:
            use(url)
        told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
        assert SECRET not in told.replace(wrong, "")


def test_the_folder_of_a_store_is_named_by_its_database_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    same = ["postgresql://a@h:1/db", "postgresql://b:x@h:1/db?sslmode=require", "postgresql:///db?host=h&port=1"]
    assert len({store_folder(url) for url in same}) == 1
    others = [
        "postgresql://a@h:2/db",
        "postgresql://a@g:1/db",
        "postgresql://a@h:1/d",
        "postgresql://a@h:1/db?options=-cx%3Dy",
    ]
    assert len({store_folder(url) for url in (*same, *others)}) == 1 + len(others)
    assert all(tmp_path / "understudy" in (store_folder(url) or tmp_path).parents for url in same)


def test_without_the_driver_the_error_says_how_to_get_it(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")

    monkeypatch.setattr(kind, "import_module", missing)
    with pytest.raises(StoreError, match=r"pip install 'understudy\[postgres\]'"):
        open_store("postgresql://h/db")


def test_the_driver_is_loaded_only_for_such_a_store():
    found, place = kind_of("postgresql://u@h/db")
    assert found.shown(place) == "//u@h/db"
    assert "psycopg" not in vars(kind) and psycopg.__name__ == "psycopg"
