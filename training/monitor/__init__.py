# SPDX-License-Identifier: Apache-2.0
"""The safety monitor's measures tried on rendered faults."""
