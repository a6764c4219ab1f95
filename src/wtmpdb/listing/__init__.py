# SPDX-License-Identifier: BSD-2-Clause
"""How lines of history are shown: `text` in columns, as `last` does, `machine` as JSON."""
