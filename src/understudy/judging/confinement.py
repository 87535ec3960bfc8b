"""Confinement: what the system itself keeps a process from, for good, also where its code is not Python.

The law: it only takes away, needs no privilege, and says which walls stand. Landlock refuses changes of the file system,
programs and TCP; seccomp refuses system calls by their numbers, which differ from processor to processor.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

_NO_NEW_PRIVILEGES: Final = 38
_SECCOMP: Final = 22
_FILTER_MODE: Final = 2

# Landlock has the same numbers on every processor.
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_ASK_VERSION: Final = 1
_BELOW_PATH: Final = 1
_EXECUTE: Final = 1 << 0
_WRITE_FILE: Final = 1 << 1
_REMOVE_AND_MAKE: Final = sum(1 << bit for bit in range(4, 13))
_REFER: Final = 1 << 13  # since version 2
_TRUNCATE: Final = 1 << 14  # since version 3
_TCP: Final = 0b11  # bind and connect, since version 4
_SCOPES: Final = 0b11  # abstract sockets and signals to others, since version 6

_CLONE_THREAD: Final = 0x10000
_ARGUMENT: Final = 16  # where the low half of a call's first argument is
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW: Final = 0x7FFF0000
_FAIL: Final = 0x00050000  # and the error's number below


class _Calls(NamedTuple):
    """The numbers of system calls on a processor. `gone` are refused always, `own` but for the process itself."""

    processor: int
    gone: Sequence[int]
    own: Sequence[int]
    clone: int


_CLONE3: Final = 435
# The same everywhere: pidfd_send_signal, io_uring_setup, pidfd_getfd.
_GONE_EVERYWHERE: Final = (424, 425, 438)
_PROCESSORS: Final = {
    "x86_64": _Calls(
        processor=0xC000003E,
        gone=(
            *(57, 58, 59, 322),  # fork, vfork, execve, execveat
            *(41, 42, 101, 311),  # socket, connect, ptrace, process_vm_writev
            *(29, 64, 68, 240, 248, 250),  # shmget, semget, msgget, mq_open, add_key, keyctl: what stays when we end
            *(90, 91, 268, 92, 93, 94, 260),  # chmod and chown in all their forms
            *(132, 235, 261, 280, 188, 189, 190, 197, 198, 199),  # times and attributes of files
            *(200, 129, 297, 141),  # tkill, rt_sigqueueinfo, rt_tgsigqueueinfo, setpriority
        ),
        own=(62, 234),  # kill, tgkill
        clone=56,
    ),
    "aarch64": _Calls(
        processor=0xC00000B7,
        gone=(
            *(221, 281),
            *(198, 203, 117, 271),
            *(194, 190, 186, 180, 217, 219),
            *(52, 53, 54, 55),
            *(88, 5, 6, 7, 14, 15, 16),
            *(130, 138, 240, 140),
        ),
        own=(129, 131),
        clone=220,
    ),
}


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Rule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("below", ctypes.c_int32))


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("value", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("first", ctypes.POINTER(_Instruction)))


class Confined(NamedTuple):
    """Which walls the system gave."""

    files: bool
    calls: bool


def confine() -> Confined:
    """Take away from this thread, and all that it starts, what changes anything outside of the process.

    Nothing brings it back, so call it before there are threads. What is open stays open, and files can be read.
    """
    if not sys.platform.startswith("linux"):
        return Confined(files=False, calls=False)
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return Confined(files=False, calls=False)
    return Confined(files=_keep_files(system.syscall), calls=_keep_from_calls(system.prctl))


def _keep_files(syscall: Callable[..., int]) -> bool:
    version = syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    if version < 1:
        return False
    files = _EXECUTE | _WRITE_FILE | _REMOVE_AND_MAKE
    files |= (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    wanted = _Ruleset(files, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    # An older system knows fewer fields; those that it does not know are 0, which it takes.
    rules = syscall(_CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(ctypes.sizeof(wanted)), 0)
    if rules < 0:
        return False
    try:
        null = os.open(os.devnull, os.O_PATH)
        try:
            rule = _Rule(_WRITE_FILE | (files & _TRUNCATE), null)
            syscall(_ADD_RULE, rules, _BELOW_PATH, ctypes.byref(rule), 0)
        finally:
            os.close(null)
        return bool(syscall(_RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


def _keep_from_calls(prctl: Callable[..., int]) -> bool:
    calls = _PROCESSORS.get(platform.machine())
    if calls is None or sys.byteorder != "little":
        return False
    filter = _filter(calls, os.getpid())
    program = _Program(len(filter), (_Instruction * len(filter))(*filter))
    return bool(prctl(_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0) == 0)


def _filter(calls: _Calls, own: int) -> list[_Instruction]:
    """A program of the system's filter: it looks at a call's number, and at the first argument of some."""
    refuse = _Instruction(_RETURN, 0, 0, _FAIL | errno.EPERM)
    allow = _Instruction(_RETURN, 0, 0, _ALLOW)
    found = [
        _Instruction(_LOAD, 0, 0, 4),
        # Another processor's calls, which this one can make too, have other numbers.
        _Instruction(_EQUAL, 1, 0, calls.processor),
        refuse,
        _Instruction(_LOAD, 0, 0, 0),
        # The C library takes `clone` where there is no `clone3`, whose flags can't be looked at.
        _Instruction(_EQUAL, 0, 1, _CLONE3),
        _Instruction(_RETURN, 0, 0, _FAIL | errno.ENOSYS),
    ]
    for number in (*calls.gone, *_GONE_EVERYWHERE):
        found += [_Instruction(_EQUAL, 0, 1, number), refuse]
    for number, test, value in [(calls.clone, _ANY_BIT, _CLONE_THREAD), *((one, _EQUAL, own) for one in calls.own)]:
        found += [
            _Instruction(_EQUAL, 0, 4, number),
            _Instruction(_LOAD, 0, 0, _ARGUMENT),
            _Instruction(test, 0, 1, value),
            allow,
            refuse,
        ]
    if calls.processor == _PROCESSORS["x86_64"].processor:
        # The same calls with other numbers and short pointers.
        found += [_Instruction(0x35, 0, 1, 0x40000000), refuse]
    return [*found, allow]
