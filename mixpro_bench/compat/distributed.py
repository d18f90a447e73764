"""Several processes without a GPU: start-up through gloo, and DDP without device ids.

Reason: mmengine's start-up calls ``torch.cuda.set_device`` whatever the backend is, and hands DDP device ids that do
not exist. Can go when mmengine asks for the device before it does either.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from torch import nn

from mixpro_bench.errors import UserError
from mixpro_bench.registry import MODEL_WRAPPERS


def init_without_gpu(launcher: str, dist_cfg: Mapping[str, Any]) -> None:
    """Join the process group of a launch without GPUs; nothing happens where there is one, or the group exists.

    Args:
        launcher: ``none`` or ``pytorch`` (torchrun, which tells rank and address through the environment).
        dist_cfg: mmengine's ``env_cfg.dist_cfg``. Its backend is taken as gloo, since nccl needs GPUs;
            ``timeout`` in seconds.

    Raises:
        UserError: Another launcher without GPUs.
    """
    if launcher == "none" or torch.cuda.is_available() or dist.is_initialized():
        return
    if launcher != "pytorch":
        raise UserError(f"launcher '{launcher}' needs GPUs, and here is none: use torchrun and --launcher pytorch")
    timeout = dist_cfg.get("timeout")
    dist.init_process_group("gloo", timeout=None if timeout is None else datetime.timedelta(seconds=timeout))


@MODEL_WRAPPERS.register_module()
class DistributedDataParallel(MMDistributedDataParallel):
    """mmengine's DDP; a module on the CPU gets no device ids.

    Args:
        module: The model.
        device_ids: As mmengine gives them, dropped on the CPU.
        **kwargs: As mmengine's.
    """

    def __init__(self, module: nn.Module, device_ids: list[int] | None = None, **kwargs: Any) -> None:
        if next(module.parameters()).device.type == "cpu":
            device_ids = None
        super().__init__(module=module, device_ids=device_ids, **kwargs)
