# SPDX-License-Identifier: BSD-2-Clause
"""Putting PAM, units, directories and links in place, and taking them out again."""
