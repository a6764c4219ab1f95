# SPDX-License-Identifier: BSD-2-Clause
"""Doctor: what is wrong with an installation, and what to do. One module for each area; nothing is changed but by a session tried on demand."""
