"""The room: who is in it, and what was said. What one says, all the others hear.

Components send messages of one type, `message`, so one handler takes what they say and that they come in.
"""

from msgspec import Struct, field

from understudy import Context, Refusal, Wit

LINES_KEPT = 100


class Word(Struct):
    """`join` with the name to go by, or `say`; somebody from outside says who he is in `name`."""

    join: str | None = None
    say: str | None = None
    name: str = "somebody"


class Line(Struct):
    who: str
    text: str


class Room(Struct):
    members: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)


wit = Wit()


@wit.message("message")
def listen(word: Word, state: Room, ctx: Context) -> None:
    sender = ctx.message.sender
    if word.join is not None:
        state.members[sender] = word.join
    if word.say is None:
        return
    who = state.members.get(sender, word.name)
    if sender not in state.members and who in state.members.values():
        raise Refusal("NameTaken", f"{who} is a member of the room")
    state.lines = [*state.lines, Line(who, word.say)][-LINES_KEPT:]
    for member in state.members:
        if member != sender:
            ctx.send(member, {"from": who, "text": word.say}, type="message")
