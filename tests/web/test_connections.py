"""Which connection is cut off when clients do not read."""

from __future__ import annotations

from understudy.web.connections import MAX_UNREAD_BYTES, NEW_SECONDS, Connections

PIECE = MAX_UNREAD_BYTES // 4


class Client:
    def __init__(self, size: int) -> None:
        self.unread_bytes = size
        self.is_cut_off = False

    @property
    def held_bytes(self) -> int:
        return self.unread_bytes

    def give_way(self) -> None:
        raise AssertionError("it is not idle")

    def cut_off(self) -> None:
        self.is_cut_off = True


def ask(connections: Connections, now: float, *clients: Client) -> None:
    for client in clients:
        assert connections.admit(client)
        connections.busy(client)
        connections.unread(client, now)


def test_the_slowest_reader_is_cut_off_and_no_other() -> None:
    connections, clients = Connections(10), [Client(PIECE) for _ in range(4)]
    ask(connections, 0.0, *clients)
    for client, left in zip(clients, (PIECE // 2, PIECE - 1, PIECE // 3, PIECE // 4), strict=True):
        client.unread_bytes = left
    ask(connections, NEW_SECONDS, *(more := [Client(PIECE) for _ in range(2)]))
    assert [client.is_cut_off for client in [*clients, *more]] == [False, True, False, False, False, False]


def test_of_new_ones_the_last_is_cut_off() -> None:
    connections, clients = Connections(10), [Client(PIECE) for _ in range(6)]
    ask(connections, 0.0, *clients)
    assert [client.is_cut_off for client in clients] == [False] * 4 + [True] * 2


def test_one_that_is_alone_is_never_cut_off() -> None:
    connections, client = Connections(10), Client(MAX_UNREAD_BYTES * 2)
    ask(connections, 0.0, client)
    connections.unread(client, NEW_SECONDS)
    assert not client.is_cut_off


def test_who_has_read_or_is_gone_does_not_count() -> None:
    connections, clients = Connections(10), [Client(PIECE) for _ in range(4)]
    ask(connections, 0.0, *clients)
    connections.read(clients[0])
    connections.gone(clients[1])
    connections.gone(clients[1])
    ask(connections, 0.0, *(more := [Client(PIECE) for _ in range(2)]))
    assert not any(client.is_cut_off for client in [*clients, *more])
