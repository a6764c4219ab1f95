# SPDX-License-Identifier: BSD-2-Clause
"""The side tables and their trigger.

For a file that has none: one that C made, or an empty one. There is one definition of them, the newest, in `wtmpdb.schema`: the steps after this one
then find that what they add is there.
"""

from __future__ import annotations

from alembic import op

from wtmpdb.log import make_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables as `Log.write` makes them; `wtmp` stays as it is where there is one."""
    make_tables(op.get_bind().exec_driver_sql)


def downgrade() -> None:
    """Refused by `env.py`."""
