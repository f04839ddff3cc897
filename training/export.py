# SPDX-License-Identifier: Apache-2.0
"""Write the trained model as a transformers checkpoint in half precision."""

import argparse
import json
from copy import deepcopy
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel
from transformers import ZoeDepthForDepthEstimation

from training.model import make_model, make_processor


def export(model: ZoeDepthForDepthEstimation, folder: Path) -> None:
    """
    Write config.json, model.safetensors and preprocessor_config.json.

    :param model: stays as it is.
    :param folder: is made where it's missing.
    """
    half = deepcopy(model).to('cpu', torch.float16, memory_format=torch.contiguous_format).eval()
    half.save_pretrained(folder)
    (folder / 'model.safetensors').chmod(0o644)
    make_processor().save_pretrained(folder)
    rename_processor(folder / 'preprocessor_config.json')


def rename_processor(path: Path) -> None:
    """Name the processor as published checkpoints do, whichever backend wrote the file."""
    settings = json.loads(path.read_text())
    settings['image_processor_type'] = 'ZoeDepthImageProcessor'
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + '\n')


def main() -> None:
    """Export a checkpoint of a training that still runs."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('checkpoint', type=Path)
    parser.add_argument('folder', type=Path)
    options = parser.parse_args()
    model = make_model(0)
    state = torch.load(options.checkpoint, map_location='cpu', weights_only=True)
    average = AveragedModel(model)
    average.load_state_dict(state['average'])
    export(average.module, options.folder)


if __name__ == '__main__':
    main()
