# SPDX-License-Identifier: Apache-2.0
"""The kernels as machine code: they compile for each GPU in use, and fit its registers.

Triton compiles without a GPU. Its interpreter, under which the other tests run, does not compile.
"""

from __future__ import annotations

import os
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    find_spec('triton') is None or os.environ.get('TRITON_INTERPRET') == '1',
    reason="needs Triton's compiler: make test-triton")

FLOATS = ('scale_y', 'scale_x', 'strength', 'low', 'high', 'epsilon')
TENSORS = ('grid', 'coarse', 'rows', 'output', 'points', 'centres', 'features', 'condition',
           'weight', 'bias', 'binomial', 'tokens', 'update', 'total', 'normed', 'values',
           'residual')
UNITS = ('_column', '_output')
"""The ends of the names of strides that are 1, which Triton compiles in."""

KERNELS: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    'upsample': ('_upsample_kernel', ('coarse', 'rows', 'output'), {
        'COLUMNS': 256, 'ADD': False, 'TILE': 8, 'TILE_COLUMNS': 256}),
    'add_upsampled': ('_upsample_kernel', (), {
        'COLUMNS': 128, 'ADD': True, 'TILE': 16, 'TILE_COLUMNS': 128}),
    'bicubic': ('_bicubic_kernel', (), {'TILE': 256}),
    'attract': ('_attract_kernel', (), {
        'ALPHA': 300.0, 'OFFSET': 1e-3, 'ATTRACTORS': 16, 'NORMED': False, 'BINS': 64, 'TILE': 16,
        'TILE_BINS': 64}),
    'expected_depth': ('_expected_depth_kernel', (), {
        'EPSILON': 1e-4, 'CHANNELS': 40, 'BINS': 64, 'TILE': 16, 'TILE_CHANNELS': 64,
        'TILE_BINS': 64}),
    'add_norm': ('_add_norm_kernel', ('tokens', 'update', 'weight', 'bias', 'total', 'normed'), {
        'TILE': 1024}),
    'finish': ('_finish_kernel', ('values', 'bias', 'residual'), {
        'BIASED': True, 'ADD': True, 'RELU': True, 'CHANNELS': 256, 'TILE': 1024}),
}
"""Of each kernel: its name, which tensors are half precision, and the constants with which the
full-size network calls it."""


@pytest.mark.parametrize('capability', [75, 80, 87, 89, 90, 100, 120])
@pytest.mark.parametrize('kernel', KERNELS)
def test_a_kernel_compiles_and_nothing_spills(
        kernel: str, capability: int, tmp_path: Path) -> None:
    name, half, constants = KERNELS[kernel]
    cubin = compiled(name, half, constants, capability)
    usage = resources(cubin, tmp_path)
    assert usage['REG'] <= 64 and usage['STACK'] == 0


def compiled(name: str, half: tuple[str, ...], constants: dict[str, Any],
             capability: int) -> bytes:
    """Compile a kernel as its launch would, all pointers and larger strides aligned to 16."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from depth_estimation_ros.core.kernels import fused, fused_passes, fused_resize

    kernel = next(getattr(module, name) for module in (fused, fused_passes, fused_resize)
                  if hasattr(module, name))
    signature, values, aligned = {}, dict(constants), {}
    for place, parameter in enumerate(kernel.params):
        of = parameter.name
        if of in TENSORS:
            signature[of] = '*fp16' if of in half else '*fp32'
        elif of in FLOATS:
            signature[of] = 'fp32'
        elif of in constants or of.endswith(UNITS):
            signature[of] = 'constexpr'
            values.setdefault(of, 1)
            continue
        else:
            signature[of] = 'i32'
        if of in TENSORS or of.endswith(('_image', '_row')) or of == 'pixels':
            aligned[(place,)] = [['tt.divisibility', 16]]
    source = ASTSource(fn=kernel, signature=signature, constexprs=values, attrs=aligned)
    built = triton.compile(source, target=GPUTarget('cuda', capability, 32),
                           options=fused_resize.LAUNCH)
    cubin: bytes = built.asm['cubin']
    return cubin


def resources(cubin: bytes, folder: Path) -> dict[str, int]:
    """Return what a kernel takes of the GPU, by the names that cuobjdump gives."""
    import triton
    file = folder / 'kernel.cubin'
    file.write_bytes(cubin)
    tools = Path(triton.__file__).parent / 'backends/nvidia/bin'
    done = subprocess.run([tools / 'cuobjdump', '--dump-resource-usage', file], check=True,
                          capture_output=True, text=True)
    return {key: int(value) for key, value in re.findall(r'(\w+):(\d+)', done.stdout)}
