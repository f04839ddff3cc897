# SPDX-License-Identifier: Apache-2.0
"""How much steadier the temporal filter makes depth, on drives through held-out rooms."""
