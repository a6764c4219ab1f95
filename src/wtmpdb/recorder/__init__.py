# SPDX-License-Identifier: BSD-2-Clause
"""The recorder: what moves letters from the spool into the history."""
