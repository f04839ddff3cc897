# SPDX-License-Identifier: Apache-2.0
"""The error of depth against ground truth: metrics, protocols, and sums over many images."""
