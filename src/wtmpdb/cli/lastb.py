# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb lastb`: failed logins, newest first, as util-linux's `lastb` prints them."""

from __future__ import annotations

from wtmpdb.cli import last

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def run(words: Sequence[str], program: str) -> int:
    """Run the command; return util-linux's exit codes: 0, or 1 for any error."""
    return last.run(words, program, failed=True)
