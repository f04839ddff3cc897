# SPDX-License-Identifier: Apache-2.0
"""A robot that drives through rendered rooms by the scan alone: the proof of the closed loop."""
