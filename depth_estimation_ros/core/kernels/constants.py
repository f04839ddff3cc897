# SPDX-License-Identifier: Apache-2.0
"""What both forms of a kernel hold to."""

Size = tuple[int, int]
"""The height and width of a grid."""

ALPHA = 300.0
"""The attractors' strength: transformers calls ``inv_attractor`` with its default whatever the
checkpoint's ``attractor_alpha`` says."""

EPSILON = 1e-4
"""The smallest probability and part of the log-binomial (transformers' ``p_eps`` and ``eps``)."""

OFFSET = 1e-3
"""Added to an attractor of the normed kind, so that none is at zero."""

