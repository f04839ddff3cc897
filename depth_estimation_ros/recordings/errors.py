# SPDX-License-Identifier: Apache-2.0
"""The error that recordings raise."""


class RecordingError(ValueError):
    """A recording that cannot be read or written; the text says what, where, and what to do."""
