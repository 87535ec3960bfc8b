"""Where the processes of a verification begin: everything that any of them needs is imported here, once."""

from __future__ import annotations

import socket
import sys

from understudy.judging.fork_server import serve_forks
from understudy.judging.judge import judge_for
from understudy.judging.performer import perform_for
from understudy.judging.pipe import Pipe
from understudy.judging.shut_world import ask_what_machine
from understudy.judging.wire import ToPerformer


def serve(fd: int) -> None:
    """Be the fork server of who is at the other end of `fd`."""
    _begin()
    serve_forks(socket.socket(fileno=fd), judge_for, perform_for)


def perform(fd: int) -> None:
    """Be a performer that nobody forked."""
    _begin()
    perform_for(Pipe(fd, fd, ToPerformer))


def _begin() -> None:
    # What is imported from here on belongs to a history, and leaves nothing behind.
    sys.dont_write_bytecode = True
    ask_what_machine()
