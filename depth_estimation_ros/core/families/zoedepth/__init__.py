# SPDX-License-Identifier: Apache-2.0
"""
ZoeDepth as inference runs it: the same metres as transformers', fewer passes over memory.

:func:`patch` replaces parts of one loaded model; the library itself and other models in the
process stay as they are. Written against transformers 4.57 and 5.23.

* :mod:`.recorded`: what depends on the network's size alone is computed once.
* :mod:`.backbone`, :mod:`.router`: query, key and value in one product, fused attention, layer
  scales folded into weights.
* :mod:`.neck`: 1x1 convolutions before upsampling, the readout token projected once an image.
* :mod:`.metric_head`: the weights of all heads stacked, each image routed on the device.
"""

from typing import Any

from torch import nn
from transformers.models.beit.modeling_beit import BeitBackbone

from .backbone import Backbone
from .metric_head import MetricHead
from .neck import REPLACED
from .recorded import record

__all__ = ['patch', 'record']


def patch(model: nn.Module) -> nn.Module:
    """
    Give a model its fast form, in place, and return it; its original weights are released.

    :param model: transformers' ``ZoeDepthForDepthEstimation`` in float32, in evaluation mode.
    """
    record(model)
    zoedepth: Any = model
    for module in zoedepth.modules():
        module.__class__ = REPLACED.get(type(module), type(module))
    if type(zoedepth.backbone) is BeitBackbone:
        zoedepth.backbone = Backbone(zoedepth.backbone)
    zoedepth.metric_head = MetricHead(zoedepth.metric_head)
    return model
