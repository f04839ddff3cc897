# SPDX-License-Identifier: Apache-2.0
"""
The rivals: transformers' own pipeline, and transformers by hand as its documentation shows it.

Imports nothing of this package, so that it runs under any version of transformers. As a program it
serves one rival over standard input and output, a line of JSON a call.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}

Pixels = NDArray[np.uint8]
Depth = NDArray[np.float32]


class ByHand:
    """Image processor, model, and the post-processing that the image processor would do."""

    def __init__(self, folder: str, device: str, precision: str) -> None:
        """
        Load a checkpoint folder.

        :param device: 'cpu', or 'cuda:N'.
        :param precision: a name in :data:`DTYPES`, of the whole model.
        """
        self.device, self.dtype = device, DTYPES[precision]
        settings = json.loads((Path(folder) / 'preprocessor_config.json').read_text())
        kind = settings['image_processor_type']
        self.processor = getattr(transformers, kind).from_pretrained(folder)
        self.model = transformers.AutoModelForDepthEstimation.from_pretrained(
            folder, torch_dtype=self.dtype).to(device).eval()
        self._restore = restore_padded if kind.startswith('ZoeDepth') else restore
        self.predicted: torch.Tensor | None = None
        """What the network gave last, before it was resized."""

    @torch.inference_mode()
    def __call__(self, images: list[Pixels], flip: bool = False) -> list[Depth]:
        """
        Estimate the depth of a batch.

        :param images: uint8 RGB, H×W×3, all of one size.
        :param flip: average with the mirrored images' depth.
        :return: float32, H×W, metres where the model gives them.
        """
        pixels = self.pixels(images)
        depth = self.model(pixel_values=pixels).predicted_depth
        if flip:
            mirrored = self.model(pixel_values=torch.flip(pixels, dims=[3])).predicted_depth
            depth = (depth + torch.flip(mirrored, dims=[-1])) / 2
        self.predicted = depth
        restored = self._restore(depth, *images[0].shape[:2])
        return [image.numpy() for image in restored.float().cpu()]

    def pixels(self, images: list[Pixels]) -> torch.Tensor:
        """Return the network's input for a batch, on the device."""
        inputs: Any = self.processor(images=images, return_tensors='pt')
        pixels: torch.Tensor = inputs.pixel_values.to(self.device, self.dtype)
        return pixels


def restore(depth: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize depth, N×h×w, to the image, as transformers' guide does."""
    return functional.interpolate(depth[:, None], (height, width), mode='bicubic',
                                  align_corners=False)[:, 0]


def restore_padded(depth: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize depth, N×h×w, to ZoeDepth's padded image, and cut the padding off."""
    top, left = int(np.sqrt(height / 2) * 3), int(np.sqrt(width / 2) * 3)
    padded = functional.interpolate(depth[:, None], (height + 2 * top, width + 2 * left),
                                    mode='bicubic', align_corners=False)
    return padded[:, 0, top:top + height, left:left + width]


class Pipeline:
    """``transformers.pipeline('depth-estimation')`` with what it does by default."""

    def __init__(self, folder: str, device: str, precision: str) -> None:
        """Load a checkpoint folder; the parameters are those of :class:`ByHand`."""
        self._pipeline: Any = transformers.pipeline(
            'depth-estimation', model=folder, device=device, torch_dtype=DTYPES[precision])

    def __call__(self, images: list[Pixels], flip: bool = False) -> list[Depth]:
        """
        Estimate the depth of a batch, as :class:`ByHand` does.

        The pipeline has no flip augmentation: it is given the mirrored images beside the others.
        """
        batch = images + [image[:, ::-1] for image in images] if flip else images
        results = self._pipeline([Image.fromarray(image) for image in batch],
                                 batch_size=len(batch))
        depths = [result['predicted_depth'].float().cpu().numpy() for result in results]
        if not flip:
            return depths
        count = len(images)
        return [(depth + mirrored[:, ::-1]) / 2
                for depth, mirrored in zip(depths[:count], depths[count:])]


RIVALS: dict[str, Any] = {'by_hand': ByHand, 'pipeline': Pipeline}


def main() -> int:
    """Serve one rival: say hello, then time one call for each line of JSON that comes in."""
    options = _parser().parse_args()
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)  # what libraries print must not come between the answers
    transformers.logging.set_verbosity_error()
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        rival = RIVALS[options.rival](options.model, options.device, options.precision)
    except Exception as error:  # whatever this version of transformers fails by
        print(json.dumps({'error': _reason(error)}), file=answers)
        return 1
    print(json.dumps({'transformers': transformers.__version__, 'torch': torch.__version__,
                      'tf32': tf32()}), file=answers)
    for line in sys.stdin:
        print(json.dumps(_answer(rival, json.loads(line))), file=answers)
    return 0


def tf32() -> str:
    """Return in which operations on a GPU this process rounds float32 to TF32."""
    rounded = {'convolutions': torch.backends.cudnn.allow_tf32,
               'products': torch.backends.cuda.matmul.allow_tf32}
    return ' and '.join(name for name, allowed in rounded.items() if allowed) or 'nowhere'


def _answer(rival: Any, call: dict[str, Any]) -> dict[str, Any]:
    images = list(np.load(call['images'])[:call['batch']])
    try:
        started = time.perf_counter()
        depths = rival(images, flip=call['flip'])
        elapsed = time.perf_counter() - started
    except Exception as error:  # the benchmark goes on without this figure and says why
        return {'error': _reason(error)}
    if call.get('keep'):
        np.save(call['keep'], np.stack(depths))
    return {'ms': 1e3 * elapsed}


def _reason(error: Exception) -> str:
    return f'{type(error).__name__}: {str(error).strip() or "no reason given"}'.splitlines()[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='rivals', description=__doc__)
    parser.add_argument('--rival', choices=RIVALS, required=True)
    parser.add_argument('--model', required=True, help='a checkpoint folder')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--precision', choices=DTYPES, default='fp32')
    parser.add_argument('--threads', type=int, default=0, help="of the CPU; 0 is torch's default")
    return parser


if __name__ == '__main__':
    sys.exit(main())
