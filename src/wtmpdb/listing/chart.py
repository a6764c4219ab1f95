# SPDX-License-Identifier: BSD-2-Clause
"""What is drawn for people: lines of pieces with a style each, bars among them. On a terminal with colours, into a pipe as plain text."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    Piece = tuple[str, str]  # a text, and the name of a style or ""

HEADING, GOOD, BAD = "bold", "green", "red"
PIPE_WIDTH = 80


class Screen:
    """Where the lines go: how wide it is, how bars are drawn on it, whether it has colours."""

    def __init__(self) -> None:
        """Look at the standard output."""
        self.is_terminal = bool(sys.stdout and sys.stdout.isatty())  # None when the program was started with it closed
        self.width = max(os.get_terminal_size(sys.stdout.fileno()).columns, 40) if self.is_terminal else PIPE_WIDTH
        self._block = "█" if self.is_terminal and (sys.stdout.encoding or "").lower().replace("-", "") == "utf8" else "#"

    def bar(self, number: int, most: int, width: int) -> str:
        """Return a bar for a number, as wide as ``width`` for the largest; of what is more than nothing something is seen."""
        return self._block * max(number * width // max(most, 1), 1 if number else 0)

    def show(self, lines: Iterable[list[Piece]]) -> None:
        """Print the lines."""
        if not self.is_terminal:
            print("".join("".join(text for text, _ in line).rstrip() + "\n" for line in lines), end="", flush=True)
            return
        from rich.console import Console  # noqa: PLC0415 - only for a terminal
        from rich.text import Text  # noqa: PLC0415

        console = Console(highlight=False)
        for line in lines:
            console.print(Text.assemble(*line), soft_wrap=True)
