"""Confinement: what the system itself keeps a process from, for good, also where its code is not Python.

The law: it only takes away, needs no privilege, and says which walls stand. Landlock refuses files, programs and TCP;
seccomp refuses system calls by their numbers, which differ from processor to processor, and tells a listener in another
process of each that it refused. So an attempt is known also if the code that made it hides it from Python.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

_NO_NEW_PRIVILEGES: Final = 38
_TRACER: Final = 0x59616D61  # who may read our memory, for systems that ask
_SECCOMP: Final = 22
_FILTER_MODE: Final = 2
_SET_FILTER: Final = 1
_WITH_LISTENER: Final = 8

# Landlock has the same numbers on every processor.
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_ASK_VERSION: Final = 1
_BELOW_PATH: Final = 1
_EXECUTE: Final = 1 << 0
_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_FOLDER: Final = 1 << 3
_REMOVE_AND_MAKE: Final = sum(1 << bit for bit in range(4, 13))
_REFER: Final = 1 << 13  # since version 2
_TRUNCATE: Final = 1 << 14  # since version 3
_TCP: Final = 0b11  # bind and connect, since version 4
_SCOPES: Final = 0b11  # abstract sockets and signals to others, since version 6

# What the C library and other libraries of the system read for themselves: to load more of themselves, for the names of
# users, for the number of processors. Nothing of it is the author's.
SYSTEM_FILES: Final = (
    *("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"),
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/localtime", "/usr/share/locale", "/usr/share/zoneinfo"),
    *(
        "/etc/ssl/openssl.cnf",
        "/etc/pki/tls/openssl.cnf",
        "/etc/mime.types",
        "/dev/urandom",
        "/dev/random",
        "/dev/zero",
    ),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/self/maps", "/proc/self/status", "/sys/devices/system/cpu"),
)

_CLONE_THREAD: Final = 0x10000
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_NUMBER_AT, _PROCESSOR_AT, _ARGUMENTS_AT = 0, 4, 16  # in what a filter looks at; of an argument, its low half
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW: Final = 0x7FFF0000
_FAIL: Final = 0x00050000  # and the error's number below
_TELL: Final = 0x7FC00000  # the listener, who answers


class _Calls(NamedTuple):
    """The numbers of system calls on a processor, by their names. `gone` are refused always."""

    processor: int
    seccomp: int
    gone: Mapping[str, int]
    kill: Mapping[str, int]  # refused but for the process itself
    clone: int
    prctl: int
    open: Mapping[str, tuple[int, int]]  # with the number of the argument that holds the flags


_CLONE3: Final = 435
_OPENAT2: Final = 437
_GONE_EVERYWHERE: Final = {"pidfd_send_signal": 424, "io_uring_setup": 425, "pidfd_getfd": 438}
_PROCESSORS: Final = {
    "x86_64": _Calls(
        processor=0xC000003E,
        seccomp=317,
        gone={
            **{"fork": 57, "vfork": 58, "execve": 59, "execveat": 322},
            **{"socket": 41, "connect": 42, "ptrace": 101, "process_vm_writev": 311, "seccomp": 317},
            # What stays when we end.
            **{"shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240, "add_key": 248, "keyctl": 250},
            **{"mkdir": 83, "rmdir": 84, "link": 86, "unlink": 87, "symlink": 88, "rename": 82, "mknod": 133},
            **{"mkdirat": 258, "mknodat": 259, "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266},
            **{"renameat2": 316, "truncate": 76, "creat": 85},
            **{"chmod": 90, "fchmod": 91, "fchmodat": 268, "fchmodat2": 452},
            **{"chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260},
            **{"utime": 132, "utimes": 235, "futimesat": 261, "utimensat": 280},
            **{"setxattr": 188, "lsetxattr": 189, "fsetxattr": 190},
            **{"removexattr": 197, "lremovexattr": 198, "fremovexattr": 199},
            **{"tkill": 200, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "setpriority": 141},
        },
        kill={"kill": 62, "tgkill": 234},
        clone=56,
        prctl=157,
        open={"open": (2, 1), "openat": (257, 2)},
    ),
    "aarch64": _Calls(
        processor=0xC00000B7,
        seccomp=277,
        gone={
            **{"execve": 221, "execveat": 281},
            **{"socket": 198, "connect": 203, "ptrace": 117, "process_vm_writev": 271, "seccomp": 277},
            **{"shmget": 194, "semget": 190, "msgget": 186, "mq_open": 180, "add_key": 217, "keyctl": 219},
            **{"mknodat": 33, "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38},
            **{"renameat2": 276, "truncate": 45},
            **{"fchmod": 52, "fchmodat": 53, "fchownat": 54, "fchown": 55, "fchmodat2": 452},
            **{"utimensat": 88, "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7},
            **{"removexattr": 14, "lremovexattr": 15, "fremovexattr": 16},
            **{"tkill": 130, "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "setpriority": 140},
        },
        kill={"kill": 129, "tgkill": 131},
        clone=220,
        prctl=167,
        open={"openat": (56, 2)},
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
    """Which walls the system gave. `listener` is the file descriptor that hears of refused calls, for another process."""

    files: bool
    calls: bool
    listener: int | None = None


def confine(readable: Sequence[str] = (os.sep,), *, listen: bool = False, reader: int | None = None) -> Confined:
    """Take away from this thread, and all that it starts, what reaches out of the process.

    What is below `readable` can still be read. With `listen`, refused calls wait for what the listener answers: hand it to
    another process, whose id is `reader`, before anything else, and close it here. Nothing takes this back, so call it
    before there are threads. What is open stays open.
    """
    if not sys.platform.startswith("linux"):
        return Confined(files=False, calls=False)
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return Confined(files=False, calls=False)
    if reader is not None:
        system.prctl(_TRACER, ctypes.c_ulong(reader), 0, 0, 0)
    files = _keep_files(system.syscall, readable)
    calls = _PROCESSORS.get(platform.machine())
    if calls is None or sys.byteorder != "little":
        return Confined(files=files, calls=False)
    if listen:
        filter = _filter(calls, os.getpid(), _TELL)
        listener = system.syscall(calls.seccomp, _SET_FILTER, _WITH_LISTENER, ctypes.byref(_program(filter)))
        if listener >= 0:
            return Confined(files=files, calls=True, listener=listener)
    filter = _filter(calls, os.getpid(), _FAIL | errno.EPERM)
    return Confined(files=files, calls=system.prctl(_SECCOMP, _FILTER_MODE, ctypes.byref(_program(filter)), 0, 0) == 0)


def call_names() -> Mapping[int, str]:
    """The system calls that may be refused here, by their numbers."""
    calls = _PROCESSORS.get(platform.machine())
    if calls is None:
        return {}
    opens = {name: number for name, (number, _) in calls.open.items()}
    known = {**calls.gone, **_GONE_EVERYWHERE, **calls.kill, **opens, "clone": calls.clone, "prctl": calls.prctl}
    return {number: name for name, number in known.items()}


def _keep_files(syscall: Callable[..., int], readable: Sequence[str]) -> bool:
    version = syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    if version < 1:
        return False
    files = _EXECUTE | _WRITE_FILE | _READ_FILE | _READ_FOLDER | _REMOVE_AND_MAKE
    files |= (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    wanted = _Ruleset(files, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    # An older system knows fewer fields; those that it does not know are 0, which it takes.
    rules = syscall(_CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(ctypes.sizeof(wanted)), 0)
    if rules < 0:
        return False
    try:
        _allow(syscall, rules, os.devnull, _READ_FILE | _WRITE_FILE | (files & _TRUNCATE))
        for path in readable:
            _allow(syscall, rules, path, _READ_FILE | _READ_FOLDER)
        return bool(syscall(_RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


def _allow(syscall: Callable[..., int], rules: int, path: str, allowed: int) -> None:
    try:
        below = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # What is not there can't be read either.
    try:
        if not stat.S_ISDIR(os.fstat(below).st_mode):
            allowed &= ~_READ_FOLDER
        rule = _Rule(allowed, below)
        syscall(_ADD_RULE, rules, _BELOW_PATH, ctypes.byref(rule), 0)
    finally:
        os.close(below)


def _program(filter: Sequence[_Instruction]) -> _Program:
    return _Program(len(filter), (_Instruction * len(filter))(*filter))


def _filter(calls: _Calls, own: int, refusal: int) -> list[_Instruction]:
    """A program of the system's filter: it looks at a call's number, and at one argument of some."""
    refuse, allow = _Instruction(_RETURN, 0, 0, refusal), _Instruction(_RETURN, 0, 0, _ALLOW)
    absent = _Instruction(_RETURN, 0, 0, _FAIL | errno.ENOSYS)

    def look(number: int, argument: int, test: int, value: int, *ways: _Instruction) -> Iterator[_Instruction]:
        """What becomes of a call if the test of one of its arguments is true, and if not."""
        yield _Instruction(_EQUAL, 0, 4, number)
        yield _Instruction(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument)
        yield _Instruction(test, 0, 1, value)
        yield from ways

    found = [
        _Instruction(_LOAD, 0, 0, _PROCESSOR_AT),
        # Another processor's calls, which this one can make too, have other numbers.
        _Instruction(_EQUAL, 1, 0, calls.processor),
        refuse,
        _Instruction(_LOAD, 0, 0, _NUMBER_AT),
    ]
    # The C library takes `clone` and `openat` where there are no newer forms, whose flags can't be looked at.
    for number in (_CLONE3, _OPENAT2):
        found += [_Instruction(_EQUAL, 0, 1, number), absent]
    for number in (*calls.gone.values(), *_GONE_EVERYWHERE.values()):
        found += [_Instruction(_EQUAL, 0, 1, number), refuse]
    found += look(calls.clone, 0, _ANY_BIT, _CLONE_THREAD, allow, refuse)
    found += look(calls.prctl, 0, _EQUAL, _SECCOMP, refuse, allow)
    for number in calls.kill.values():
        found += look(number, 0, _EQUAL, own, allow, refuse)
    if refusal == _TELL:
        # Only to be told of: Landlock refuses it, but for the one file that may be written to.
        for number, flags in calls.open.values():
            found += look(number, flags, _ANY_BIT, _WRITES, refuse, allow)
    if calls.processor == _PROCESSORS["x86_64"].processor:
        # The same calls with other numbers and short pointers.
        found += [_Instruction(_AT_LEAST, 0, 1, 0x40000000), refuse]
    return [*found, allow]
