# SPDX-License-Identifier: BSD-2-Clause
"""From the command line to the command: `wtmpdb COMMAND …`, or a command's own name, as in `last`."""

from __future__ import annotations

import os
import sys

from wtmpdb.errors import WtmpdbError, complain

COMMANDS = {
    "last": "show who was logged in, and when the machine was started and stopped",
    "lastb": "show failed logins",
    "who": "show who is on now",
    "users": "show the names of who is on now, in a line",
    "uptime": "show how long the machine is up, and how long it was before",
    "lastlog": "show the last login of each account, and the last that failed",
    "stats": "sum the history up: days, users, hosts, the longest sessions, crashes",
    "dump": "print the records of an old file as text, and make such files of text",
    "check": "look for signs of damage and tampering in old files",
    "export": "write the history as a file of old, as JSON or as a table",
    "import": "bring the history that old files tell into the database",
    "boot": "record that the machine was started (done by a service)",
    "boottime": "print when the machine was started",
    "shutdown": "record that the machine is being stopped (done by a service)",
    "setup": "install for good, or take everything out again",
    "doctor": "say what is wrong with the installation, and what to do",
    "exporter": "serve metrics to Prometheus",
    "recorder": "move what logins left in the spool into the history (done by a service)",
}
NAMES = ("last", "lastb", "who")  # of links to this program that stand for a command

INTERRUPTED = 1
BROKEN_PIPE = 141  # as the shell says of a program that died of SIGPIPE


def module_of(command: str) -> str:
    """Return the name of the module of a command; no module can be called ``import``."""
    return f"wtmpdb.cli.{command}" + ("_" if command == "import" else "")


def usage() -> str:
    """Return the text of `wtmpdb --help`."""
    commands = "".join(f"  {name:10} {what}\n" for name, what in COMMANDS.items())
    return f"""Usage: wtmpdb COMMAND [OPTION…]

The login history of this machine.

{commands}
Each command has a --help of its own ('wtmpdb help COMMAND'), and a man page: wtmpdb(1), wtmpdb-last(1) …

Examples:
  wtmpdb last                   everything, newest first
  wtmpdb last -n 20 alice       the last 20 sessions of alice
  wtmpdb last -s yesterday      since yesterday, 00:00
  wtmpdb who -uH                who is on now
  wtmpdb lastb --by host        from where logins failed
  wtmpdb stats -s -30days       the last thirty days at a glance
"""


def main(argv: list[str] | None = None) -> int:
    """Run a command; return the exit code: 0 success, 1 failure, 2 wrong usage. No traceback reaches the user."""
    words = sys.argv if argv is None else argv
    name = os.path.basename(words[0]) if words else "wtmpdb"
    command, rest = (name, words[1:]) if name in NAMES else (words[1] if len(words) > 1 else "", words[2:])
    program = name if name in NAMES else f"wtmpdb {command}".rstrip()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a help text in a locale that lacks a character of it
    try:
        return _run(command, rest, program)
    except WtmpdbError as error:
        complain(f"{program}: {error}", error.hint)
        return 1
    except KeyboardInterrupt:
        complain(f"{program}: Interrupted")
        return INTERRUPTED
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains once more when it closes stdout
        if isinstance(error, BrokenPipeError):
            return BROKEN_PIPE
        complain(f"{program}: {error.filename or 'write error'}: {error.strerror or error}")
        return 1


def _run(command: str, words: list[str], program: str) -> int:
    if command == "help":
        command, words = (words[0], ["--help"]) if words else ("--help", [])
        program = f"wtmpdb {command}"
    if command in ("-h", "--help"):
        code, said = 0, usage()
    elif command in ("-V", "-v", "--version"):
        from wtmpdb import __version__  # noqa: PLC0415 - not on the way of a command

        code, said = 0, f"wtmpdb {__version__}\n"
    elif command not in COMMANDS:
        what = f"unknown command '{command}'" if command else "no command given"
        complain(f"wtmpdb: {what}: one of {', '.join(COMMANDS)}; see 'wtmpdb --help'")
        return 2
    else:
        code, said = _command(command, words, program), ""
    print(said, end="", flush=True)
    return code


def _command(command: str, words: list[str], program: str) -> int:
    from importlib import import_module  # noqa: PLC0415 - so that `import wtmpdb.__main__` stays free of it

    try:
        code: int = import_module(module_of(command)).run(words, program)
    except SystemExit as ended:  # argparse, after a help text or a complaint
        return int(ended.code or 0)
    return code


if __name__ == "__main__":
    sys.exit(main())
