"""What the author of a Python actor imports: the comfortable form and the low-level one."""

from __future__ import annotations

from understudy.actors.contract import Outgoing
from understudy.actors.errors import CallFailed, Refusal, Retry, WitError
from understudy.actors.query import Blob, Error, Tree
from understudy.objects.errors import BadTimer
from understudy.objects.ids import ActorId, Id, MessageId, StepId, TreeId
from understudy.objects.step import Step
from understudy.store.reader import Reader, Staging
from understudy.wit.asking import query_a_wit
from understudy.wit.context import Context
from understudy.wit.core import Core
from understudy.wit.draft import Draft
from understudy.wit.flows.awaiting import Await
from understudy.wit.flows.context import FlowContext
from understudy.wit.inbox import Inbox
from understudy.wit.message import Message
from understudy.wit.object_store import object_store
from understudy.wit.outbox import Outbox, Sent
from understudy.wit.query_context import QueryContext
from understudy.wit.requests import Failure, Origin, Request
from understudy.wit.scheduling import Rang
from understudy.wit.spawning import Spawned
from understudy.wit.state import NewState
from understudy.wit.verdict import Verdict
from understudy.wit.wit import Wit

__all__ = [
    "ActorId",
    "Await",
    "BadTimer",
    "Blob",
    "CallFailed",
    "Context",
    "Core",
    "Draft",
    "Error",
    "Failure",
    "FlowContext",
    "Id",
    "Inbox",
    "Message",
    "MessageId",
    "NewState",
    "Origin",
    "Outbox",
    "Outgoing",
    "QueryContext",
    "Rang",
    "Reader",
    "Refusal",
    "Request",
    "Retry",
    "Sent",
    "Spawned",
    "Staging",
    "Step",
    "StepId",
    "Tree",
    "TreeId",
    "Verdict",
    "Wit",
    "WitError",
    "object_store",
    "query_a_wit",
]
