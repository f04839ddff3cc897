# SPDX-License-Identifier: Apache-2.0
"""How a patched network is run: constants of a size, graphs, faster networks built beside it."""
