# SPDX-License-Identifier: BSD-2-Clause
"""Session: opening and closing a real PAM session, and looking for the row that should come of it.

Nobody is authenticated: libpam opens sessions for whoever is root. The session is one of root, on a terminal called "doctor", so that the history
shows what it was; SUDO_USER would get a login that never was.
"""

from __future__ import annotations

import os
import subprocess
import time

from wtmpdb.doctor.apart import Apart, ApartError
from wtmpdb.doctor.asking import asked
from wtmpdb.doctor.finding import note, ok, problem
from wtmpdb.doctor.pam import LINE, Reached
from wtmpdb.doctor.stacks import DIRECTORIES, file_of
from wtmpdb.errors import WtmpdbError
from wtmpdb.history import History
from wtmpdb.installation import places
from wtmpdb.installation.found import run
from wtmpdb.log import Log
from wtmpdb.recorder.drain import drain
from wtmpdb.schema import ROW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wtmpdb.doctor.case import Case
    from wtmpdb.doctor.finding import Finding
    from wtmpdb.entry import Line, Row

USER, TTY = "root", "doctor"
HANGS = 20.0
"""Seconds after which a module of the stack is taken to hang: pam_systemd alone may wait long for logind."""

ROW_WITHIN = 5.0
"""Seconds within which the row must be there."""

# Of _pam_types.h: an item, kinds of messages, an answer.
_PAM_TTY = 3
_QUESTIONS, _ERROR_MESSAGE = (1, 2), 3
_NO_ANSWER = 19

_JOURNAL = "sudo journalctl -b SYSLOG_FACILITY=10"
_MOST_SAID, _LONGEST_SAID = 10, 200
_AGAIN = 0.1


class Tried:
    """What came of it: the findings, and the lines of history that were written for the session."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.findings: list[Finding] = []
        self.lines: list[Line] = []


def check_service(case: Case, service: str) -> None:
    """Raise WtmpdbError when the session cannot be tried."""
    if not case.is_root:
        raise WtmpdbError("only root can open a session", f"sudo wtmpdb doctor --pam {service}")
    if file_of(case.root, service) is None:
        # libpam would silently take the stack "other" instead.
        raise WtmpdbError(f"{service!a}: there is no such PAM service", f"ls {DIRECTORIES[0]} shows those that there are")


def try_session(case: Case, service: str, *, hangs: float = HANGS, row_within: float = ROW_WITHIN) -> Tried:
    """Open and close a session, drain the spool, and look for the row. Raises WtmpdbError when the session cannot be tried."""
    check_service(case, service)
    tried = Tried()
    begun = time.time_ns() // 1000
    child = Apart(_session(case, service))
    try:
        answer = child.result(hangs)
    except ApartError as error:
        answer = {}
        tried.findings.append(problem("session", f"the process that opened it for {service} {error}: a module of that stack is at fault", _JOURNAL))
    tried.findings += _answers(service, answer)
    rows, trouble = _rows(case, child.pid, begun, row_within)
    tried.findings += _judged(service, rows)
    if not any(pid == child.pid for _, pid, *_ in rows):
        if answer.get("opened") and not trouble:
            trouble = f"another module ended the stack before ours came: {answer['opened']}"
        tried.findings.append(_no_row(case, service, trouble, child.pid))
    tried.lines = _lines(case, [row for row, *_ in rows])
    return tried


# The session: in the child process


def _session(case: Case, service: str) -> Callable[[], dict[str, Any]]:
    return lambda: _open_and_close(service, None if case.root == "/" else case.path(DIRECTORIES[0]))


def _open_and_close(service: str, confdir: str | None) -> dict[str, Any]:
    """Do it; ``confdir`` is a directory of services to take instead of the machine's. Returns the answers as text, "" for success."""
    from ctypes import POINTER, byref, cast, sizeof  # noqa: PLC0415 - loads a library: in the child only

    python_pam = _python_pam()
    application, handle = python_pam.PamAuthenticator(), python_pam.PamHandle()
    said: list[str] = []

    def conversation(number: int, messages: Any, responses: Any, _: object) -> int:
        """Hear what modules say; a question is not answered."""
        # As pam_conv(3) wants it, there is room for answers: libpam frees it.
        responses[0] = cast(application.calloc(number, sizeof(python_pam.PamResponse)), POINTER(python_pam.PamResponse))
        for place in range(number):
            message = messages[place].contents
            if message.msg_style in _QUESTIONS:
                return _NO_ANSWER
            if message.msg_style == _ERROR_MESSAGE:
                said.append((message.msg or b"").decode("utf-8", "replace")[:_LONGEST_SAID])
        return 0

    # libpam keeps pointers to both until the end: they have to live as long (authenticate() of python-pam lets them go).
    kept = python_pam.PamConv(python_pam.conv_func(conversation), None)
    start = application.pam_start if confdir is None else _starter(confdir)
    code = start(service.encode(), USER.encode(), byref(kept), byref(handle))
    if code != 0:
        raise WtmpdbError(f"pam_start failed with {code}")
    application.handle = handle
    application.pam_set_item(handle, _PAM_TTY, TTY.encode())
    opened = application.open_session()
    why_not_opened = str(application.reason) if opened else ""
    closed = application.close_session()  # also what only half the stack has opened
    why_not_closed = str(application.reason) if closed else ""
    application.end()
    del kept
    return {"opened": why_not_opened, "closed": why_not_closed, "said": said[:_MOST_SAID]}


def _python_pam() -> Any:
    """Return the module of python-pam that has its structures beside the authenticator."""
    from importlib import import_module  # noqa: PLC0415 - in the child only

    try:
        return import_module("pam.__internals")
    except ImportError as error:
        raise WtmpdbError("needs python-pam, which is not installed") from error


def _starter(confdir: str) -> Callable[..., int]:
    from ctypes import CDLL, c_char_p, c_void_p  # noqa: PLC0415 - in the child only

    start = CDLL("libpam.so.0").pam_start_confdir
    start.argtypes = [c_char_p, c_char_p, c_void_p, c_char_p, c_void_p]
    return lambda service, user, conversation, handle: int(start(service, user, conversation, os.fsencode(confdir), handle))


def _answers(service: str, answer: dict[str, Any]) -> list[Finding]:
    findings = []
    for step, word in (("opened", "open"), ("closed", "close")):
        if answer.get(step):
            said = "".join(f"; it said: {text}" for text in answer["said"])
            findings.append(note("session", f"{service}: another module of the stack failed to {word} it: {answer[step]}{said}", _JOURNAL))
    return findings


# The row


Written = tuple["Row", int | None, str | None, str | None]  # a row, and of its letters: the pid, the names of the opening and the closing one


def _rows(case: Case, pid: int, begun: int, seconds: float) -> tuple[list[Written], str]:
    """Drain until our row is there and closed, or the time is up; return the rows of the session, and what stood in the way."""
    deadline = time.monotonic() + seconds
    while True:
        trouble = ""
        try:
            drain(case.database, case.spool, timeout=1.0, wait=1.0, system=case.system)
        except WtmpdbError as error:
            trouble = str(error)
        rows = _written(case, pid, begun)
        if any(found == pid and row[6] for row, found, *_ in rows) or time.monotonic() > deadline:
            return rows, trouble
        time.sleep(_AGAIN)


def _written(case: Case, pid: int, begun: int) -> list[Written]:
    with asked(case.database) as log:
        if log is None or not log.has("session"):
            return []
        found = log.all(
            f"SELECT {ROW}, pid, opened_by, closed_by FROM wtmp"  # noqa: S608 - a constant
            " LEFT JOIN (SELECT entry_id, login AS opened, pid, opened_by, closed_by FROM session) ON entry_id = ID AND opened = Login"
            " WHERE Login >= ? AND Type = 3 AND (pid = ? OR (pid IS NULL AND TTY = ?))",
            begun,
            pid,
            TTY,
        )
        return [((*row[:1], *map(_raw, row[1:5]), *row[5:9]), *row[9:]) for row in found]


def _raw(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")


def _judged(service: str, rows: list[Written]) -> list[Finding]:
    findings = []
    for row, found, opened, closed in rows:
        if found is None:
            findings.append(
                problem("session", f"row {row[7]} was written by {places.C_MODULE}, beside ours", "wtmpdb doctor says where; one of both is enough")
            )
        elif not closed or not opened:
            what = "its opening" if closed else "its end"
            findings.append(problem("session", f"row {row[7]} lacks {what}: that letter did not come", _ask_the_journal(service)))
        else:
            findings.append(ok("session", f"row {row[7]}, written by {places.MODULE}: opened by letter {opened}, closed by {closed}"))
    return findings


def _no_row(case: Case, service: str, trouble: str, pid: int) -> Finding:
    """Say why there is no row, as far as that can be told."""
    one = Reached(case.root, service)
    if not one.ours:
        return problem(
            "session",
            f"no row came: the stack of {service} does not run through the module",
            f"put '{LINE}' at the end of the session part of {file_of(case.root, service)}",
        )
    if not one.recorded:
        return note("session", f"no row came, and none should: {one.ours[0]} leaves {service} out (skip_if)")
    if trouble:
        return problem("session", f"no row came: {trouble}", "wtmpdb doctor")
    broken = [name for name in _listed(f"{case.spool}/bad") if f".{pid:010}." in name]
    if broken:
        return problem(
            "session", f"no row came: its letter could not be read, and is {case.spool}/bad/{broken[0]}", f"sudo cat {case.spool}/bad/{broken[0]}"
        )
    said = _said_by_module(case, pid)
    return problem("session", f"no row came, and no letter{f'; the module said: {said}' if said else ''}", _ask_the_journal(service))


def _ask_the_journal(service: str) -> str:
    return (
        f"add the option debug to the module's line, then: sudo wtmpdb doctor --pam {service}; {_JOURNAL} --grep {places.MODULE.removesuffix('.so')}"
    )


def _said_by_module(case: Case, pid: int) -> str:
    if not case.systemd:
        return ""
    try:
        answer = run(case.root, "journalctl", "-q", "-b", "-o", "cat", "--no-pager", "-n", "3", f"_PID={pid}", timeout=5.0)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "; ".join(line for line in answer.stdout.splitlines() if places.MODULE.removesuffix(".so") in line)


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _lines(case: Case, rows: list[Row]) -> list[Line]:
    if not rows:
        return []
    with Log.read(case.database) as log:
        history = History(log, case.system, at_home=True)
        return [line for chunk in history.lines([rows]) for line in chunk]
