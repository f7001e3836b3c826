# SPDX-License-Identifier: Apache-2.0
"""The parts of tools/protogen: the model of a service and what is generated from it."""
