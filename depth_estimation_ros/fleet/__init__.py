# SPDX-License-Identifier: Apache-2.0
"""Depth of many bags: by one process, or by the machines of a Ray cluster."""
