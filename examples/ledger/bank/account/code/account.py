"""One account: the only place where its balance changes. It is never overdrawn."""

from typing import Annotated

from msgspec import Meta, Struct, json

from understudy import Context, Message, QueryContext, Refusal, Step, Wit


class Args(Struct):
    owner: str


class Order(Struct):
    cents: int
    ref: str


class Account(Struct):
    owner: str = ""
    bank: str = ""
    balance_cents: int = 0
    entries: int = 0


class Balance(Struct):
    """What an account holds."""

    owner: str
    cents: int


class Line(Struct):
    """A change of the balance, and the height of the step that made it."""

    height: int
    change_cents: int
    balance_cents: int


wit = Wit()


@wit.genesis
def begin(args: Args, message: Message, state: Account) -> None:
    state.owner = args.owner
    state.bank = message.sender


@wit.message("debit")
def debit(order: Order, message: Message, state: Account, ctx: Context) -> None:
    _check_sender(message, state)
    if order.cents > state.balance_cents:
        ctx.reply({"ref": order.ref}, type="declined")
        return
    state.balance_cents -= order.cents
    state.entries += 1
    ctx.reply({"ref": order.ref}, type="debited")


@wit.message("credit")
def credit(order: Order, message: Message, state: Account, ctx: Context) -> None:
    _check_sender(message, state)
    state.balance_cents += order.cents
    state.entries += 1
    ctx.reply({"ref": order.ref}, type="settled")


@wit.query
def balance(state: Account) -> Balance:
    """What is in the account."""
    return Balance(owner=state.owner, cents=state.balance_cents)


@wit.query
def history(ctx: QueryContext, limit: Annotated[int, Meta(ge=1, le=1000)] = 20) -> list[Line]:
    """The balance after each of the last changes, newest first: read out of the steps themselves."""
    lines: list[Line] = []
    step = ctx.step
    while step.parent is not None and len(lines) < limit:
        before = ctx.reader.step(step.parent)
        now, was = _cents(ctx, step), _cents(ctx, before)
        if now != was:
            lines.append(Line(height=step.height, change_cents=now - was, balance_cents=now))
        step = before
    return lines


def _cents(ctx: QueryContext, step: Step) -> int:
    state = ctx.reader.find(step.core, "state")
    return 0 if state is None else json.decode(ctx.reader.blob(state), type=Account).balance_cents


def _check_sender(message: Message, state: Account) -> None:
    if message.sender != state.bank:
        raise Refusal("NotTheBank", "only the bank moves money into an account or out of it")
