# SPDX-License-Identifier: BSD-2-Clause
"""Metrics for Prometheus. Needs the extra ``wtmpdb[exporter]``."""
