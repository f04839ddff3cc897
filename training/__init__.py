# SPDX-License-Identifier: Apache-2.0
"""The rendered world, and the small ZoeDepth that is trained on it (not installed)."""
