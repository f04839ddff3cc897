# SPDX-License-Identifier: Apache-2.0
"""What a camera's images say of faults: measures of them, and how long they last."""
