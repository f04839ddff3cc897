# SPDX-License-Identifier: Apache-2.0
"""The families of depth models: what is special about each, a file or a folder a family."""
