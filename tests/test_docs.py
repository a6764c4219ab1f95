# SPDX-License-Identifier: BSD-2-Clause
"""The documents: nothing is forgotten, nothing is made up, and what they show is what comes."""

from __future__ import annotations

import argparse
import calendar
import os
import re
import runpy
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from dashboards.reading import rules
from support import SECOND, make_file
from wtmpdb import __version__, schema
from wtmpdb.__main__ import COMMANDS, NAMES, main, module_of
from wtmpdb.cli import last, who
from wtmpdb.installation import places
from wtmpdb.installation.ledger import OPTIONS as REMEMBERED
from wtmpdb.log import DATABASE, FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
MAN = ROOT / "docs" / "man"
README = ROOT / "README.md"
OPERATORS = ROOT / "docs" / "operators.md"
SOURCES = sorted(MAN.glob("*.md"))
PAGES = sorted(page for page in MAN.glob("*.[18]") if not page.read_text().startswith(".so "))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
SCANNED = {"last": last.OPTIONS, "lastb": last.FAILED_OPTIONS, "who": who.OPTIONS}  # what other commands take is asked of argparse
SHARED = {"boottime": "boot", "shutdown": "boot"}  # commands that are described in the page of another

# The history that the examples in README.md are from.
DEMO = (
    (1, "reboot", "2026-03-02 08:00", "2026-03-06 18:30", "~", "6.1.0-31-amd64", None),
    (3, "alice", "2026-03-02 08:05", "2026-03-02 17:10", "tty1", None, "login"),
    (3, "bob", "2026-03-02 09:30", "2026-03-02 11:00", "ssh", "192.0.2.7", "sshd"),
    (3, "alice", "2026-03-06 09:12", None, "ssh", "2001:db8::17", "sshd"),
    (1, "reboot", "2026-03-09 07:58", None, "~", "6.1.0-32-amd64", None),
    (3, "bob", "2026-03-09 08:40", "2026-03-09 12:15", "ssh", "192.0.2.7", "sshd"),
    (3, "root", "2026-03-10 03:02", "2026-03-10 03:09", "pts/0", None, "su-l"),
    (3, "carol", "2026-03-10 02:55", None, "ssh", "198.51.100.23", "sshd"),
    (1, "reboot", "2026-03-10 07:30", "2026-03-10 19:00", "~", "6.1.0-32-amd64", None),
    (3, "alice", "2026-03-10 08:02", "2026-03-10 18:45", "ssh", "2001:db8::17", "sshd"),
)


def usec(text: str | None) -> int | None:
    """Return a time in UTC as µs since the epoch."""
    return None if text is None else calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M")) * SECOND


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """Make the history of the examples, and put the old files beside it."""
    shutil.copytree(ROOT / "tests" / "data" / "docs", tmp_path, dirs_exist_ok=True)
    return make_file(tmp_path / "wtmp.db", [(*row[:2], usec(row[2]), usec(row[3]), *row[4:]) for row in DEMO])


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    """Yield language and text of each fenced block."""
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL):
        yield found[1], found[2]


def examples(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the commands of a document that begin with ``$ wtmpdb``, and what they are said to print."""
    for _, text in blocks(path):
        for found in re.finditer(r"^\$ (wtmpdb .*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            yield found[1], found[2]


def section(path: Path, name: str) -> str:
    """Return a section of a source of a man page."""
    found = re.search(rf"^# {name}\n(.*?)(?=^# |\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{path.name} has no section {name}"
    return found[1]


def described(path: Path) -> set[str]:
    """Return the options that a man page describes: those in the terms of the section OPTIONS."""
    terms = re.findall(r"^(\*\*-.*)\n: ", section(path, "OPTIONS"), re.MULTILINE)
    return {name for term in terms for name in re.findall(r"\*\*(--?\w[\w.-]*)\*\*", term)}


def page_of(command: str) -> Path:
    """Return the source of the man page of a command."""
    return MAN / f"wtmpdb-{SHARED.get(command, command)}.1.md"


def tracked() -> list[Path]:
    """Return the files of the project, or skip where git does not know them."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git repository")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


class Caught(BaseException):
    """A parser that was about to parse."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


@cache
def options_of(command: str) -> set[str]:
    """Return the options that a command has, from what it parses its arguments with."""
    if command in NAMES:
        return {dash + name for option in SCANNED[command] for dash, name in (("-", option.short), ("--", option.long)) if name}

    def catch(parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        raise Caught(parser)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Caught) as caught:
        patch.setattr(argparse.ArgumentParser, "parse_args", catch)
        import_module(module_of(command)).run([], f"wtmpdb {command}")
    return {name for action in caught.value.parser._actions for name in action.option_strings}


def shown_commands(document: Path) -> Iterator[str]:
    """Yield the lines of shell that a document shows: in blocks, and in the running text what begins with a command of ours."""
    for language, text in blocks(document):
        if language == "sh" or (language == "" and document in SOURCES):
            yield from text.replace("\\\n", " ").splitlines()
        elif language == "console":
            yield from re.findall(r"^\$ .*", text, re.MULTILINE)
    if document not in SOURCES:
        yield from re.findall(rf"(?<!`)`((?:sudo )?wtmpdb (?:{'|'.join(COMMANDS)})\b[^`]*)`", document.read_text())


def commands_in(line: str) -> Iterator[list[str]]:
    """Yield the words behind each ``wtmpdb`` that a line of shell runs."""
    lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= set("();<>|&"):
            command.append(word)
            continue
        words = command[1:] if command[:1] == ["sudo"] else command
        if words[:1] == ["wtmpdb"]:
            yield words[1:]
        command = []


class TestManPages:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_a_page(self, command: str) -> None:
        """Every command is named in a page of its own or a shared one, with its synopsis, and in wtmpdb(1)."""
        page = page_of(command)
        assert f"wtmpdb-{command}" in section(page, "NAME")
        assert f"**wtmpdb {command}**" in section(page, "SYNOPSIS")
        assert f"wtmpdb {command}" in section(page, "EXAMPLES")
        assert f"\n**{command}**\n: " in section(MAN / "wtmpdb.1.md", "COMMANDS")
        assert (MAN / f"wtmpdb-{command}.1").exists()

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_a_help_with_an_example(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        """The help of every command has an example."""
        with suppress(SystemExit):
            main(["wtmpdb", command, "--help"])
        assert "\nExample" in capsys.readouterr().out

    @pytest.mark.parametrize("command", NAMES)
    def test_options_of_names(self, command: str) -> None:
        """The pages of `last`, `lastb` and `who` describe the options that they have, and no others."""
        assert described(page_of(command)) == options_of(command)

    @pytest.mark.parametrize("page", sorted({page_of(command) for command in COMMANDS if command not in NAMES}), ids=lambda page: page.name)
    def test_options_of_the_other_commands(self, page: Path) -> None:
        """The page of every other command describes the options that it has, and no others."""
        assert described(page) == set().union(*(options_of(command) for command in COMMANDS if page_of(command) == page))

    def test_options_of_the_program(self) -> None:
        """The page wtmpdb(1) describes the options that stand before a command."""
        assert described(MAN / "wtmpdb.1.md") == {"-h", "--help", "-V", "-v", "--version"}

    def test_options_of_the_module(self) -> None:
        """The page of the PAM module describes the options that it has, and no others."""
        code = (ROOT / "pam" / "pam_wtmpdb_spool.c").read_text()
        options = set(re.findall(r'\bargv\[i\], "(\w+)"', code))
        page = MAN / "pam_wtmpdb_spool.8.md"
        assert set(re.findall(r"^\*\*(\w+)=?\*\*.*\n: ", section(page, "OPTIONS"), re.MULTILINE)) == options
        assert all(f"[**{option}" in section(page, "SYNOPSIS") for option in options)

    @pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
    def test_sections(self, source: Path) -> None:
        """Every page has the sections that are looked for, and says which version it describes."""
        for name in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "FILES", "EXAMPLES", "SEE ALSO"):
            assert section(source, name).strip()
        assert ("EXIT STATUS" if source.name.endswith(".1.md") else "RETURN VALUES") in source.read_text()
        assert f'"wtmpdb {__version__}"' in source.read_text().splitlines()[0]

    @pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
    def test_see_also(self, source: Path) -> None:
        """Every page points to others of ours that there are, wtmpdb(1) first, and then to those of others; never to itself."""
        named = re.findall(r"\*\*([\w.-]+)\*\*\((\d)\)", section(source, "SEE ALSO"))
        pages = [f"{name}.{number}" for name, number in named]
        ours = [page for page in pages if "wtmpdb" in page]
        assert pages[: len(ours)] == ours
        assert all((MAN / page).exists() for page in ours)
        assert source.stem not in pages
        assert len(set(pages)) == len(pages)
        assert ours[0] == "wtmpdb.1" or source.stem == "wtmpdb.1"

    def test_pages_are_what_the_sources_give(self, tmp_path: Path) -> None:
        """The pages in the repository are made from their sources."""
        for tool in ("go-md2man", "man"):
            if shutil.which(tool) is None:
                pytest.skip(f"{tool} is not installed")
        subprocess.run([MAN / "build.sh", tmp_path], check=True)
        assert {page.name for page in tmp_path.iterdir()} == {page.name for page in MAN.glob("*.[18]")}
        for page in PAGES:
            assert rendered(page)[0] == rendered(tmp_path / page.name)[0], f"{page.name}: run docs/man/build.sh"

    def test_every_source_has_its_page(self) -> None:
        """Every source has its page in the repository, and what only points to another page points to one of ours."""
        assert [source.stem for source in SOURCES] == [page.name for page in PAGES]
        for page in set(MAN.glob("*.[18]")) - set(PAGES):
            assert (MAN / page.read_text().strip().removeprefix(".so man1/")).exists()

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_pages_render_without_warnings(self, page: Path) -> None:
        """The program man has nothing to say against a page."""
        if shutil.which("man") is None:
            pytest.skip("man is not installed")
        text, warnings = rendered(page)
        assert warnings == ""
        assert "NAME " in text


def rendered(page: Path) -> tuple[str, str]:
    """Return the words of a page as man shows them, and what it complains of."""
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "2000"}  # too wide to break words
    command = ["man", "--warnings", "--encoding=UTF-8", "--local-file", str(page)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return " ".join(ran.stdout.split()), ran.stderr


class TestExamples:
    def test_there_are_enough(self) -> None:
        """README.md shows at least five runs of the program."""
        assert len(list(examples(README))) >= 5
        assert all(text.startswith("$ wtmpdb ") for language, text in blocks(README) if language == "console")

    @pytest.mark.parametrize("document", [README, *SOURCES], ids=lambda document: document.name)
    def test_print_what_is_shown(self, document: Path, demo: Path) -> None:
        """What a document shows after ``$ wtmpdb …`` is what comes, to the byte."""
        environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        for line, shown in examples(document):
            _, command, *words = shlex.split(line)
            history = [] if "-f" in words or command in ("check", "dump", "who", "users") else ["-f", str(demo)]
            run = [sys.executable, "-m", "wtmpdb", command, *history, *words]
            ran = subprocess.run(run, env=environment, cwd=demo.parent, capture_output=True, text=True, timeout=60, check=False)
            assert (ran.stdout, ran.stderr) == (shown, ""), line

    def test_python(self, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """Each Python example in README.md runs and prints what is shown behind it."""
        monkeypatch.setattr("wtmpdb.log.DATABASE", str(demo))
        found = [(language, text) for language, text in blocks(README) if language in ("python", "text")]
        assert [language for language, _ in found] == ["python", "text"] * 2
        for (_, code), (_, shown) in (found[:2], found[2:]):
            (tmp_path / "example.py").write_text(code)
            runpy.run_path(str(tmp_path / "example.py"))
            assert capsys.readouterr().out == shown


class TestReferences:
    def test_the_two_commands(self) -> None:
        """README.md names the command that installs and the one that tests, and both can be run."""
        commands = "".join(text for language, text in blocks(README) if language == "sh")
        for line, script in (("sudo ./install.sh\n", "install.sh"), ("./test.sh\n", "test.sh")):
            assert line in commands
            assert os.access(ROOT / script, os.X_OK)

    @pytest.mark.parametrize("document", [README, OPERATORS], ids=lambda document: document.name)
    def test_where_everything_is(self, document: Path) -> None:
        """README.md and docs/operators.md name every place that setup puts something into."""
        paths = [value for name, value in vars(places).items() if name.isupper() and not name.startswith("C_") and str(value).startswith("/")]
        names = [places.MODULE, DATABASE, FAILED, *(f"{os.path.dirname(places.PROGRAM)}/{name}" for name in places.NAMES)]
        assert [path for path in (*paths, *names) if f"`{path}" not in document.read_text()] == []

    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
    def test_commands_are_understood(self, document: Path) -> None:
        """Every ``wtmpdb …`` that a document shows is a command that there is, with options that it has."""
        wrong = []
        for line in shown_commands(document):
            for command, *words in commands_in(line):
                known = options_of(command) if command in COMMANDS else set()
                given = {word.partition("=")[0] for word in words if re.fullmatch(r"-[A-Za-z]|--[a-z][a-z.-]*(=.*)?", word)}
                if command not in COMMANDS or given - known:
                    wrong.append(line)
        assert wrong == []

    @pytest.mark.parametrize("rule", rules("alert").values(), ids=rules("alert"))
    def test_commands_of_runbooks_are_understood(self, rule: dict[str, Any]) -> None:
        """Every ``wtmpdb …`` that an alert tells one to run is a command that there is, with options that it has."""
        for command, options in re.findall(r"\bwtmpdb ([a-z]+)((?: -[a-z-]+| [a-z\dA-Z]+)*)", rule["annotations"]["runbook"]):
            assert command in COMMANDS
            assert {option for option in options.split() if option.startswith("-")} <= options_of(command)

    def test_commands_are_found(self) -> None:
        """What the test above looks for is found, and a command or an option that is not there would be noticed."""
        line = "sudo wtmpdb last --open | jq .; cd /tmp && wtmpdb setup --undo --no-such # wtmpdb nothing"
        assert list(commands_in(line)) == [["last", "--open"], ["setup", "--undo", "--no-such"]]
        assert {"--undo", "--no-pam"} <= options_of("setup")
        assert "--no-such" not in options_of("setup")
        assert {"--open", "-f"} <= options_of("last")
        for document in (README, OPERATORS, *SOURCES):
            assert [command for line in shown_commands(document) for command in commands_in(line)] or document.name.startswith("pam_")

    def test_options_of_install_are_those_of_setup(self) -> None:
        """install.sh takes the options of setup that are remembered, each with its opposite, and its help names them."""
        script = (ROOT / "install.sh").read_text()
        taken = re.findall(r"--[a-z][a-z-]*", next(line for line in script.splitlines() if "--pam |" in line))
        assert set(taken) == {f"--{no}{name.replace('_', '-')}" for name in REMEMBERED for no in ("", "no-")}
        assert re.search(r"^ *--others=all \| --others=own \| --others=none\) set", script, re.MULTILINE)
        usage = script.partition("usage() {")[2].partition("\n}\n")[0]
        assert all(f"--{'no-' if value else ''}{name.replace('_', '-')}" in usage for name, value in REMEMBERED.items())

    def test_changelog_names_the_version(self) -> None:
        """CHANGELOG.md has a section on this version."""
        assert f"\n## {__version__} - 20" in (ROOT / "CHANGELOG.md").read_text()

    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
    def test_links_resolve(self, document: Path) -> None:
        """A link to another document leads to one."""
        targets = re.findall(r"\]\(([^)\s#]+)", document.read_text())
        assert [target for target in targets if "://" not in target and not (document.parent / target).exists()] == []

    @pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
    def test_files_exist(self, document: Path) -> None:
        """A file of the project that a document names is there."""
        text = document.read_text()
        names = re.findall(r"(?<![\w/.-])((?:src|docs|tests|pam|systemd|benchmarks|\.ci)/[\w./-]*\w)", text)
        names += re.findall(r"(?<![\w/])(?:\./)?([a-z_]+\.(?:sh|toml))\b", text)
        names += re.findall(r"(?<![\w/])([A-Z]+\.md)\b", text)
        assert [name for name in names if not (ROOT / name).exists() and name != "build.sh"] == []

    def test_no_host_of_a_package_registry(self) -> None:
        """No file names the host of a package registry: where packages come from is for the machine to say."""
        hosts = "pypi.o|pythonhosted.o|deb.debian.o|security.debian.o|archive.ubuntu.c|registry.npmjs.o|proxy.golang.o|mirrors.fedoraproject.o"
        forbidden = re.compile("|".join(f"{re.escape(host)}{'rg' if host.endswith('o') else 'om'}" for host in hosts.split("|")))
        assert [path.name for path in tracked() if forbidden.search(path.read_bytes().decode("utf-8", "replace"))] == []


def test_the_format_names_all_tables_and_columns() -> None:
    """docs/format.md describes every table, column, index and trigger of the database."""
    text = (ROOT / "docs" / "format.md").read_text()
    database = sqlite3.connect(":memory:")
    for statement in (*schema.statements(sqlite3.sqlite_version_info), *schema.FAILED_TABLES, *schema.INDEXES):
        database.execute(statement)
    named = "type IN ('table', 'index', 'trigger') AND name NOT LIKE 'sqlite_%'"
    names = {name for (name,) in database.execute(f"SELECT name FROM sqlite_master WHERE {named}")}
    names |= {column for table in names for (column,) in database.execute("SELECT name FROM pragma_table_info(?)", (table,))}
    database.close()
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
