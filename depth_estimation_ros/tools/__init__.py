# SPDX-License-Identifier: Apache-2.0
"""The commands: each thin, on top of the core and the shell."""
