# SPDX-License-Identifier: BSD-2-Clause
"""${message}."""

from __future__ import annotations

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Add what is not there yet, and nothing else: older programs go on writing, and a file that was restored from a dump has lost its version."""
    op.execute("")


def downgrade() -> None:
    """Refused by `env.py`."""
