"""The bank opens an account actor for each owner, starts transfers and keeps the book of how they ended.

The rules: no money is made but by `deposit`, an account is never overdrawn, a reference is under way once.
"""

from html import escape

from msgspec import Struct, field

from understudy import Blob, Context, Error, Message, QueryContext, Refusal, Wit


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


class Totals(Struct):
    """The sums of the book. What was deposited is held by an account, or on its way between two."""

    accounts: int
    deposited_cents: int
    held_cents: int
    under_way_cents: int
    settled: int
    declined: int


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


@wit.query
def balance(owner: str, state: Bank, ctx: QueryContext) -> int | Error:
    """The cents in the account of an owner, who is asked himself."""
    if owner not in state.accounts:
        return Error("NoAccount", f"{owner} has no account")
    return _cents(ctx, state.accounts[owner])


@wit.query
def totals(state: Bank, ctx: QueryContext) -> Totals:
    """What all accounts hold, added up by asking each."""
    return Totals(
        accounts=len(state.accounts),
        deposited_cents=state.deposited_cents,
        held_cents=sum(_cents(ctx, account) for account in state.accounts.values()),
        under_way_cents=sum(order.cents for order in state.under_way.values()),
        settled=state.settled,
        declined=state.declined,
    )


@wit.query
def audit(state: Bank, ctx: QueryContext) -> Blob:
    """A page for the auditor: every account, and whether the sums agree."""
    found = totals(state, ctx)
    rows = "".join(
        f"<tr><td>{escape(owner)}</td><td>{_cents(ctx, account) / 100:,.2f}</td></tr>"
        for owner, account in sorted(state.accounts.items())
    )
    missing = found.deposited_cents - found.held_cents
    agrees = 0 <= missing <= found.under_way_cents
    return Blob.html(
        f"<!doctype html><title>Audit</title><h1>The book at step {ctx.height}</h1>"
        f"<table><tr><th>Owner</th><th>Balance</th></tr>{rows}</table>"
        f"<p>Deposited {found.deposited_cents / 100:,.2f}, held {found.held_cents / 100:,.2f}, "
        f"under way {found.under_way_cents / 100:,.2f}: {'the sums agree' if agrees else 'MONEY IS MISSING'}.</p>"
    )


def _cents(ctx: QueryContext, account: str) -> int:
    cents: int = ctx.query(account, "balance").json()["cents"]
    return cents


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
