"""The smallest actor that is of use: it greets, and counts whom it greeted."""

from msgspec import Struct

from understudy import Wit


class Greet(Struct):
    name: str


class State(Struct):
    greeted: int = 0


wit = Wit()


@wit.message("greet")
def greet(hello: Greet, state: State) -> str:
    state.greeted += 1
    return f"Hello {hello.name}, you are number {state.greeted}."
