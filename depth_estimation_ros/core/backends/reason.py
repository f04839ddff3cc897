# SPDX-License-Identifier: Apache-2.0
"""The line of an error that says why."""

import re

LOCATION = re.compile(r"(?:Exception from [^\s:]+:\d+:?|Check '.*' failed at [^\s:]+:\d+:?)\s*")
"""How each layer of OpenVINO begins what it says: the place in its sources, outermost first."""


def reason(error: BaseException) -> str:
    """
    Return the line of an error that says why: the first one, and of OpenVINO's the innermost's.

    :return: the last place in somebody's sources where there is nothing else; the type where there
        is no text.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    layers: list[list[str]] = [[]]
    for line in lines:
        if LOCATION.match(line):
            layers.append([])
        layers[-1] += filter(None, [LOCATION.sub('', line, count=1)])
    said = [layer for layer in layers if layer]
    return _sentence(said[-1]) if said else (lines or [repr(error)])[-1]


def _sentence(lines: list[str]) -> str:
    """Return the first line, and the next where it ends in a colon."""
    count = next((count for count, line in enumerate(lines, 1) if not line.endswith(':')),
                 len(lines))
    return ' '.join(lines[:count])
