# SPDX-License-Identifier: Apache-2.0
"""One command for a GPU: whether everything is right there, then how fast it is."""
