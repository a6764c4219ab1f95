# SPDX-License-Identifier: BSD-2-Clause
"""Questions that sum the history up, in SQLAlchemy Core: the same statements on a host's SQLite and on PostgreSQL."""
