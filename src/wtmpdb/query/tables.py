# SPDX-License-Identifier: BSD-2-Clause
"""The tables as SQLAlchemy knows them: what of `wtmpdb.schema` the questions read. No I/O.

The file of a host is made by `wtmpdb.schema` alone; a test compares. With these definitions the same tables are made elsewhere: in memory, on
PostgreSQL.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, UniqueConstraint

metadata = MetaData()

_ID = BigInteger().with_variant(Integer, "sqlite")  # INTEGER PRIMARY KEY is SQLite's own row number

wtmp = Table(
    "wtmp",
    metadata,
    Column("ID", _ID, primary_key=True),
    Column("Type", BigInteger),
    Column("User", Text, nullable=False),
    Column("Login", BigInteger),
    Column("Logout", BigInteger),
    Column("TTY", Text),
    Column("RemoteHost", Text),
    Column("Service", Text),
)
Index("wtmp_login", wtmp.c.Login)
Index("wtmp_user", wtmp.c.User, wtmp.c.Login)

session = Table(
    "session",
    metadata,
    Column("entry_id", _ID, primary_key=True),
    Column("login", BigInteger, nullable=False),
    Column("boot_key", Text),
    Column("pid", BigInteger),
    Column("start_ticks", BigInteger),
)

boot = Table(
    "boot",
    metadata,
    Column("entry_id", _ID, primary_key=True),
    Column("login", BigInteger, nullable=False),
    Column("boot_key", Text, nullable=False),
    UniqueConstraint("boot_key"),
)

counted = Table(
    "counted",
    metadata,
    Column("day", BigInteger, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("user", Text, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
)
"""Failed logins of which only the number was kept; only in the file of failed logins."""
