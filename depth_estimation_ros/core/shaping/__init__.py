# SPDX-License-Identifier: Apache-2.0
"""What is done to depth between the network and the outputs, on the device."""
