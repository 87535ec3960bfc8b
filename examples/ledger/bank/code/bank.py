"""The bank opens an account actor for each owner, starts transfers and keeps the book of how they ended.

The rules: no money is made but by `deposit`, an account is never overdrawn, a reference is under way once.
"""

from msgspec import Struct, field

from understudy import Context, Message, Refusal, Wit


class Open(Struct):
    owner: str


class Deposit(Struct):
    owner: str
    cents: int
    ref: str


class Transfer(Struct):
    source: str
    target: str
    cents: int
    ref: str


class Done(Struct):
    """What an account says of an order that the bank gave it."""

    ref: str


class UnderWay(Struct):
    """An order that has not ended: who gets the money, once it has left its source."""

    cents: int
    target: str


class Bank(Struct):
    accounts: dict[str, str] = field(default_factory=dict)
    under_way: dict[str, UnderWay] = field(default_factory=dict)
    settled: int = 0
    declined: int = 0
    deposited_cents: int = 0


wit = Wit()


@wit.message("open")
def open_account(order: Open, state: Bank, ctx: Context) -> str:
    if order.owner in state.accounts:
        raise Refusal("AlreadyOpen", f"{order.owner} has an account")
    account = str(ctx.spawn("account", {"owner": order.owner}))
    state.accounts[order.owner] = account
    return account


@wit.message("deposit")
def deposit(order: Deposit, state: Bank, ctx: Context) -> str:
    _check(order.cents, order.ref, state)
    target = _account(order.owner, state)
    state.under_way[order.ref] = UnderWay(order.cents, target)
    state.deposited_cents += order.cents
    ctx.send(target, {"cents": order.cents, "ref": order.ref}, type="credit")
    return "accepted"


@wit.message("transfer")
def transfer(order: Transfer, state: Bank, ctx: Context) -> str:
    _check(order.cents, order.ref, state)
    source, target = _account(order.source, state), _account(order.target, state)
    if source == target:
        raise Refusal("SameAccount", "source and target are the same")
    state.under_way[order.ref] = UnderWay(order.cents, target)
    ctx.send(source, {"cents": order.cents, "ref": order.ref}, type="debit")
    return "accepted"


@wit.message("debited")
def debited(done: Done, message: Message, state: Bank, ctx: Context) -> None:
    _check_account(message, state)
    order = state.under_way[done.ref]
    ctx.send(order.target, {"cents": order.cents, "ref": done.ref}, type="credit")


@wit.message("declined")
def declined(done: Done, message: Message, state: Bank) -> None:
    _check_account(message, state)
    del state.under_way[done.ref]
    state.declined += 1


@wit.message("settled")
def settled(done: Done, message: Message, state: Bank) -> None:
    _check_account(message, state)
    del state.under_way[done.ref]
    state.settled += 1


def _check(cents: int, ref: str, state: Bank) -> None:
    if cents <= 0:
        raise Refusal("BadAmount", f"{cents} cents: an amount is above zero")
    if ref in state.under_way:
        raise Refusal("RefInUse", f"the reference {ref} is under way")


def _account(owner: str, state: Bank) -> str:
    if owner not in state.accounts:
        raise Refusal("NoAccount", f"{owner} has no account")
    return state.accounts[owner]


def _check_account(message: Message, state: Bank) -> None:
    if message.sender not in state.accounts.values():
        raise Refusal("NotAnAccount", "only accounts of this bank say how an order ended")
