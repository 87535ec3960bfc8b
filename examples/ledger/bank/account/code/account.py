"""One account: the only place where its balance changes. It is never overdrawn."""

from msgspec import Struct

from understudy import Context, Message, Refusal, Wit


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


def _check_sender(message: Message, state: Account) -> None:
    if message.sender != state.bank:
        raise Refusal("NotTheBank", "only the bank moves money into an account or out of it")
