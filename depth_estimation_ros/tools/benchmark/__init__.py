# SPDX-License-Identifier: Apache-2.0
"""Ours beside its rivals: the core, the shell and the node, measured in one run."""
