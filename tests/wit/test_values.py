"""What is stored is what is read back: a law over all types that a state or a message may have, and what breaks it by name."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import uuid
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.actors.errors import WitError
from understudy.objects.ids import ActorId, TreeId
from understudy.testing import strategies
from understudy.wit.content import decoder_for, encode_as_python_1, encode_json
from understudy.wit.state import StateType


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Cat(msgspec.Struct, tag=True):
    lives: int = 9


class Dog(msgspec.Struct, tag=True, omit_defaults=True, rename="camel"):
    is_good: bool = True


class Point(NamedTuple):
    x: int
    y: float


class Typed(TypedDict, total=False):
    name: str
    seen: dt.datetime


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", populate_by_name=True)
    count: int = pydantic.Field(0, alias="howMany")
    raw: bytes = b""
    where: Path = Path("/")
    url: pydantic.HttpUrl | None = None
    when: dt.datetime | None = None
    price: Decimal = Decimal(0)
    tags: set[str] = set()
    ids: dict[uuid.UUID, Colour] = {}

    @pydantic.computed_field
    def double(self) -> int:
        return self.count * 2


@dataclasses.dataclass
class Data:
    number: int
    ratio: float
    text: str
    raw: bytes
    inner: Data | None = None


class Everything(msgspec.Struct):
    number: int
    ratio: float
    text: str
    raw: bytes
    flag: bool
    day: dt.date
    moment: dt.datetime
    clock: dt.time
    span: dt.timedelta
    price: Decimal
    key: uuid.UUID
    colour: Colour
    size: Size
    numbers: set[int]
    words: frozenset[str]
    pair: tuple[int, str]
    many: tuple[float, ...]
    by_number: dict[int, str]
    by_day: dict[dt.date, list[int]]
    by_id: dict[uuid.UUID, Colour]
    pet: Cat | Dog | None
    point: Point
    typed: Typed
    where: PurePosixPath
    actor: ActorId
    model: Model
    models: list[Model]
    inner: Everything | None = None


TEXT = strategies.texts
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
# JSON has whole seconds of offset at most, and no fold.
MOMENT = st.datetimes(timezones=st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=-3, minutes=30))]))
SPAN = st.timedeltas(dt.timedelta(days=-9_999), dt.timedelta(days=9_999))
PRICE = st.decimals(allow_nan=False, allow_infinity=False)
COLOUR = st.sampled_from(Colour)
PATH = st.lists(st.sampled_from(["a", "b.txt", "é", ".."])).map(lambda parts: PurePosixPath("/", *parts))
MODEL = st.builds(
    Model,
    count=st.integers(),
    raw=st.binary(max_size=20),
    where=PATH.map(Path),
    url=st.none() | st.sampled_from(["http://a.example/", "https://b.example/c?d=e"]),
    when=st.none() | MOMENT,
    price=PRICE,
    tags=st.sets(TEXT, max_size=3),
    ids=st.dictionaries(st.uuids(), COLOUR, max_size=3),
)
DATA = st.recursive(
    st.builds(Data, st.integers(), FLOAT, TEXT, st.binary(max_size=20)),
    lambda inner: st.builds(Data, st.integers(), FLOAT, TEXT, st.binary(max_size=20), inner),
    max_leaves=3,
)
PET = st.none() | st.builds(Cat, st.integers()) | st.builds(Dog, st.booleans())
TYPED: st.SearchStrategy[Any] = st.fixed_dictionaries({}, optional={"name": TEXT, "seen": MOMENT})
EVERYTHING = st.builds(
    Everything,
    number=st.integers(),
    ratio=FLOAT,
    text=TEXT,
    raw=st.binary(max_size=20),
    flag=st.booleans(),
    day=st.dates(),
    moment=MOMENT,
    clock=st.times(),
    span=SPAN,
    price=PRICE,
    key=st.uuids(),
    colour=COLOUR,
    size=st.sampled_from(Size),
    numbers=st.sets(st.integers(), max_size=3),
    words=st.frozensets(TEXT, max_size=3),
    pair=st.tuples(st.integers(), TEXT),
    many=st.lists(FLOAT, max_size=3).map(tuple),
    by_number=st.dictionaries(st.integers(), TEXT, max_size=3),
    by_day=st.dictionaries(st.dates(), st.lists(st.integers(), max_size=2), max_size=3),
    by_id=st.dictionaries(st.uuids(), COLOUR, max_size=3),
    pet=PET,
    point=st.builds(Point, st.integers(), FLOAT),
    typed=TYPED,
    where=PATH,
    actor=strategies.node_ids.map(lambda id: ActorId(TreeId(id))),
    model=MODEL,
    models=st.lists(MODEL, max_size=2),
)
PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOAT | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (Everything, EVERYTHING),
    (Model, MODEL),
    (Data, DATA),
    (Typed, TYPED),
    (Point, st.builds(Point, st.integers(), FLOAT)),
    (Cat | Dog | None, PET),
    (dict, st.dictionaries(TEXT, PLAIN, max_size=3)),
    (Any, PLAIN),
    (bytes, st.binary(max_size=40)),
    (int, st.integers()),
    (float, FLOAT),
    (list[Model], st.lists(MODEL, max_size=2)),
    (dict[int, bytes], st.dictionaries(st.integers(), st.binary(max_size=9), max_size=3)),
    (set[dt.datetime], st.sets(st.datetimes(), max_size=3)),
]


@pytest.mark.parametrize(("kind", "values"), TYPES, ids=lambda each: getattr(each, "__name__", str(each))[:20])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_stored_and_what_is_sent_is_what_is_read_back(kind: Any, values: Any, data: st.DataObject) -> None:
    value = data.draw(values)
    state = StateType(kind)
    stored = state.encode(value)
    assert state.decode(stored) == value
    # The same value has the same bytes, however often it went through them.
    assert state.encode(state.decode(stored)) == stored
    assert state.check(stored).ok
    if kind is not bytes:
        assert decoder_for(kind)(encode_json(value)) == value


WILD: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([math.nan, math.inf, -math.inf, "\ud800", b"\xff", Colour.RED, dt.date(2020, 1, 1), Decimal("1.0")])
    | st.sampled_from([object(), 1j, Path("/a"), Cat(), pydantic.SecretStr("x"), frozenset({1}), 2**70, -0.0])
    | st.integers()
    | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.integers(0, 3) | st.sampled_from(["0", "1", "a", b"a", None, 1.5]), inner, max_size=3)
        | st.builds(Data, inner, inner, inner, inner, inner)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("kind", [dict, Any, Data])
@settings(max_examples=60, deadline=None)
@given(value=WILD)
def test_what_would_not_be_read_back_is_not_stored_and_named(kind: Any, value: Any) -> None:
    state = StateType(kind)
    try:
        stored = state.encode(value)
    except WitError as error:
        assert error.code == "BadState"
        assert any(word in error.text for word in ("$", "Expected", "required field")), error.text
    else:
        again = state.decode(stored)
        assert again == value
        assert repr(again) == repr(value) or not isinstance(value, float)


def _holds_null(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(map(_holds_null, inner))


@settings(max_examples=60, deadline=None)
@given(value=WILD)
def test_what_is_sent_never_holds_another_number_or_fewer_entries(value: Any) -> None:
    try:
        sent = encode_json(value)
    except (TypeError, ValueError) as error:
        assert str(error).startswith("$")
        return
    assert b"NaN" not in sent
    assert not _holds_null(msgspec.json.decode(sent))  # there is none in these values
    assert b"*****" not in sent


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (dict, {"a": [1, math.nan]}, "$.a[1] is nan (float) and would be read back as None (NoneType)"),
        (
            dict,
            {"at": dt.date(2020, 1, 1)},
            "$.at is datetime.date(2020, 1, 1) (date) and would be read back as '2020-01-01'",
        ),
        (dict, {"raw": b"\xff"}, "$.raw is b'\\xff' (bytes) and would be read back as '/w==' (str)"),
        (dict, {"tags": {1}}, "$.tags is {1} (set) and would be read back as [1] (list)"),
        (dict, {"by": {1: "a"}}, "$.by has the key 1, an int, which would be read back as a text"),
        (dict[str, Any], {"cat": Cat()}, "$.cat is Cat(lives=9) (Cat)"),
        (dict, {"a": object()}, "$.a is an object, which can't become JSON"),
        (dict, {"a": "\ud800"}, "$.a is '\\ud800', which holds half a character"),
        (Cat, Cat(lives="nine"), "Expected `int`, got `str` - at `$.lives`"),  # type: ignore[arg-type]
        (Cat, Cat(lives=math.nan), "$.lives"),  # type: ignore[arg-type]
        (bytes, "text", "it is said to be bytes, and is a str"),
        (float, math.inf, "Expected `float`, got `null`"),
    ],
)
def test_the_place_of_what_can_not_be_stored_is_named(kind: Any, value: Any, text: str) -> None:
    with pytest.raises(WitError) as caught:
        StateType(kind).encode(value)
    assert caught.value.code == "BadState"
    assert text in caught.value.text


class Account(pydantic.BaseModel):
    password: pydantic.SecretStr = pydantic.SecretStr("hunter2")


def test_a_secret_is_not_stored_as_stars_and_what_is_excluded_is_named() -> None:
    with pytest.raises(WitError, match=r"\$\.password is SecretStr"):
        StateType(Account).encode(Account())
    for value in (Account(), {"a": [Account()]}):
        with pytest.raises(ValueError, match=r"password is a secret, and what is stored can be read by everybody"):
            encode_json(value)

    class Hides(pydantic.BaseModel):
        hidden: int = pydantic.Field(1, exclude=True)

    with pytest.raises(WitError, match=r"\$\.hidden is 2"):
        StateType(Hides).encode(Hides(hidden=2))


def test_a_tuple_without_a_type_comes_back_as_a_list_which_is_said_nowhere_else() -> None:
    state = StateType(dict)
    assert state.decode(state.encode({"pair": (1, 2)})) == {"pair": [1, 2]}


def test_bytes_of_a_model_that_are_no_text_fail_by_name_unless_it_says_base64() -> None:
    class Plain(pydantic.BaseModel):
        raw: bytes

    state = StateType(Plain)
    assert state.decode(state.encode(Plain(raw=b"text"))) == Plain(raw=b"text")
    with pytest.raises(WitError, match=r"can't be stored.*\$\.raw is bytes that are no UTF-8 text.*ser_json_bytes"):
        state.encode(Plain(raw=b"\xff"))


def test_a_field_that_no_equality_sees_is_compared_all_the_same() -> None:
    @dataclasses.dataclass(eq=False)
    class Odd:
        values: Any = None

    state = StateType(Odd)
    assert state.decode(state.encode(Odd([1]))).values == [1]
    with pytest.raises(WitError, match=r"\$\.values is nan"):
        state.encode(Odd(math.nan))


def test_steps_of_the_first_abi_are_encoded_as_they_were() -> None:
    class Plain(pydantic.BaseModel):
        count: int = pydantic.Field(0, alias="howMany")
        raw: bytes = b""

    value = {"a": math.nan, "m": Plain(howMany=1, raw=b"a"), 1: 2, "1": 3}
    assert encode_as_python_1(value) == b'{"1":3,"a":null,"m":{"count":1,"raw":"YQ=="}}'
