# SPDX-License-Identifier: Apache-2.0
"""The errors that the core raises; each message says what, where, and what to do."""


class DepthError(Exception):
    """Base of every error that the core raises on purpose."""


class CheckpointError(DepthError):
    """A checkpoint that is missing, corrupt, or not a metric depth model."""


class DeviceError(DepthError):
    """A device or precision that this machine does not have, or has too little of."""


class DeviceLostError(DeviceError):
    """A device that answers no call of this process any more: only a new process helps."""


class ImageError(DepthError, ValueError):
    """An image that the network cannot take: wrong shape, dtype or size."""
