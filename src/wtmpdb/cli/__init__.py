# SPDX-License-Identifier: BSD-2-Clause
"""The commands, one file each: arguments → call → output."""
