# SPDX-License-Identifier: Apache-2.0
"""The line that says why, of texts as the libraries write them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from depth_estimation_ros.core.backends.openvino import load_openvino
from depth_estimation_ros.core.backends.reason import reason

REGISTERS = """\
Exception from src/inference/src/cpp/core.cpp:132:
Exception from src/inference/src/dev/plugin.cpp:59:
Check 'active.size() != reg_pool.size()' failed at \
src/common/snippets/src/lowered/pass/assign_registers.cpp:201:
Can't allocate registers for a snippet: not enough registers


"""
COMPILER = """\
InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx: (None, 'g++')

Set TORCHDYNAMO_VERBOSE=1 for the internal stack trace (please do this especially if you're \
reporting a bug to PyTorch). For even more developer context, set TORCH_LOGS="+dynamo"
"""


@pytest.mark.parametrize(('text', 'expected'), [
    (REGISTERS, "Can't allocate registers for a snippet: not enough registers"),
    ('Exception from src/inference/src/cpp/core.cpp:132:\n'
     'Exception from src/inference/src/dev/plugin.cpp:59:\nbad combination\n', 'bad combination'),
    ('Exception from src/inference/src/cpp/core.cpp:132:\n\n',
     'Exception from src/inference/src/cpp/core.cpp:132:'),
    (COMPILER, COMPILER.splitlines()[0]),
    ('no such file', 'no such file'),
    ('', "RuntimeError('')"),
])
def test_the_line_that_says_why(text: str, expected: str) -> None:
    assert reason(RuntimeError(text)) == expected


@pytest.mark.skipif(find_spec('openvino') is None, reason='openvino is not installed')
def test_what_openvino_itself_says(tmp_path: Path) -> None:
    ov = load_openvino()
    core, model, errors = ov.Core(), ov.Model([], []), []
    for call, said in (
            (lambda: core.read_model(tmp_path / 'gone.xml'),
             f'FrontEnd API failed with GeneralFailure: ir: Could not open the file: '
             f'"{tmp_path}/gone.xml"'),
            (lambda: core.compile_model(model, 'CPU', {'NO_SUCH_PROPERTY': 1}),
             'NotFound: Unsupported property NO_SUCH_PROPERTY by CPU plugin.'),
            (lambda: core.compile_model(model, 'NO_SUCH_DEVICE'),
             'Device with "NO_SUCH_DEVICE" name is not registered in the OpenVINO Runtime')):
        with pytest.raises(RuntimeError) as error:
            call()
        errors.append((reason(error.value), said))
    assert [is_said for is_said, _ in errors] == [said for _, said in errors]


def test_what_torch_says_of_a_shape() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.zeros(2) @ torch.zeros(3)
    assert reason(error.value) == str(error.value).splitlines()[0]
