"""mmcv's operators without mmcv's compiled extension.

Reason: mmcv publishes no wheels for current torch, and building it needs a compiler and much time. Mask R-CNN needs two
of its operators, NMS and RoIAlign, which torchvision has as well (with the same results, see ``tests/golden``).
Can go when mmcv publishes wheels again, or when mmdet calls torchvision's operators itself.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import logging
import multiprocessing
import os
import sys
import types
from typing import Any, Literal, NoReturn

from mixpro_bench.errors import UserError

EXTENSION = "mmcv._ext"
HOW_TO_GET_MMCV = (
    "install compiled mmcv in place of mmcv-lite, which needs a C++ compiler: "
    "pip uninstall mmcv-lite; pip install --no-build-isolation --no-binary mmcv 'mmcv==2.1.0'"
)
# RoIAlign's pool modes as mmcv numbers them.
_AVERAGE = 1


class OperatorMissing(UserError, NotImplementedError):
    """An mmcv operator was called that torchvision does not have."""


def backend() -> Literal["mmcv-compiled", "torchvision"]:
    """Say whose operators are in use, or would be after `install`.

    Raises:
        UserError: There is no mmcv at all.
    """
    if isinstance(sys.modules.get(EXTENSION), StandIn):
        return "torchvision"
    return "mmcv-compiled" if _why_not_compiled() is None else "torchvision"


def install() -> None:
    """Put the stand-in where ``mmcv.ops`` looks for its extension, unless the compiled one is there. Idempotent."""
    if isinstance(sys.modules.get(EXTENSION), StandIn):
        return
    reason = _why_not_compiled()
    if reason is None:
        return
    stand_in = StandIn(EXTENSION, "torchvision's operators under mmcv's names.")
    # Without a loader mmcv's own check_ops_exist() answers the truth: no.
    stand_in.__spec__ = importlib.machinery.ModuleSpec(EXTENSION, loader=None)
    sys.modules[EXTENSION] = stand_in
    setattr(sys.modules["mmcv"], "_ext", stand_in)  # noqa: B010  # the module does not declare it
    if multiprocessing.parent_process() is None and os.environ.get("RANK", "0") == "0":
        logging.getLogger("mixpro_bench").warning(
            "mmcv's compiled operators are not available (%s): torchvision's NMS and RoIAlign stand in", reason
        )


def _why_not_compiled() -> str | None:
    """Return None where mmcv's extension loads, otherwise the reason why it does not."""
    if importlib.util.find_spec("mmcv") is None:
        raise UserError("mmcv is not installed: pip install 'mmcv-lite==2.1.0' (nothing to compile) or 'mmcv==2.1.0'")
    try:
        importlib.import_module(EXTENSION)
    except ModuleNotFoundError as error:
        if error.name == EXTENSION:
            return "mmcv-lite"
        raise
    except ImportError as error:  # built against another torch
        return str(error)
    return None


class StandIn(types.ModuleType):
    """The module ``mmcv._ext``: three operators of torchvision, and a named refusal for every other."""

    def __getattr__(self, name: str) -> Any:
        """Return an operator that says that it is missing; mmcv asks for all of them when it is imported."""
        if name.startswith("__"):
            raise AttributeError(name)
        return _missing(name)

    @staticmethod
    def nms(boxes: Any, scores: Any, iou_threshold: float, offset: int) -> Any:
        """Suppress boxes that overlap a better one.

        Args:
            boxes: (N, 4) as x1, y1, x2, y2.
            scores: (N,).
            iou_threshold: Overlap above which a box goes. mmcv compares in fp32, so the threshold is rounded to it.
            offset: What is added to a box' width and height, 0 or 1. A box that ends one pixel later is the same.

        Returns:
            Kept indices, int64, by falling score.
        """
        import numpy as np
        import torchvision

        boxes, scores = _at_least_fp32(boxes), _at_least_fp32(scores)
        if offset:
            boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
        return torchvision.ops.nms(boxes, scores.to(boxes.dtype), float(np.float32(iou_threshold)))

    @staticmethod
    def roi_align_forward(
        input: Any,
        rois: Any,
        output: Any,
        argmax_y: Any,
        argmax_x: Any,
        *,
        aligned_height: int,
        aligned_width: int,
        spatial_scale: float,
        sampling_ratio: int,
        pool_mode: int,
        aligned: bool,
    ) -> None:
        """Write RoIAlign of ``input`` (B, C, H, W) at ``rois`` (N, 5) into ``output`` (N, C, h, w).

        fp32 inside and cast to ``output``: torchvision's CPU kernel knows no half precision and no mixed types.
        """
        import torch
        import torchvision  # noqa: F401  # brings torch.ops.torchvision

        _only_average(pool_mode)
        features = _at_least_fp32(input)
        with torch.autocast(input.device.type, enabled=False):
            pooled = torch.ops.torchvision.roi_align(
                features,
                rois.to(features.dtype),
                spatial_scale,
                aligned_height,
                aligned_width,
                sampling_ratio,
                aligned,
            )
        output.copy_(pooled)

    @staticmethod
    def roi_align_backward(
        grad_output: Any,
        rois: Any,
        argmax_y: Any,
        argmax_x: Any,
        grad_input: Any,
        *,
        aligned_height: int,
        aligned_width: int,
        spatial_scale: float,
        sampling_ratio: int,
        pool_mode: int,
        aligned: bool,
    ) -> None:
        """Write the gradient with respect to the features into ``grad_input`` (B, C, H, W)."""
        import torch
        import torchvision  # noqa: F401  # brings torch.ops.torchvision

        _only_average(pool_mode)
        grad = _at_least_fp32(grad_output)
        with torch.autocast(grad.device.type, enabled=False):
            gathered = torch.ops.torchvision._roi_align_backward(
                grad,
                rois.to(grad.dtype),
                spatial_scale,
                aligned_height,
                aligned_width,
                *grad_input.shape,
                sampling_ratio,
                aligned,
            )
        grad_input.copy_(gathered)

    @staticmethod
    def get_compiler_version() -> str:
        """Answer mmcv's report on its environment."""
        return "none (torchvision stands in)"

    @staticmethod
    def get_compiling_cuda_version() -> str:
        """Answer mmcv's report on its environment."""
        return "none (torchvision stands in)"


def _at_least_fp32(tensor: Any) -> Any:
    import torch

    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _only_average(pool_mode: int) -> None:
    if pool_mode != _AVERAGE:
        raise OperatorMissing(f"RoIAlign with pool_mode='max' is not in torchvision: use 'avg', or {HOW_TO_GET_MMCV}")


def _missing(name: str) -> Any:
    def operator(*args: Any, **kwargs: Any) -> NoReturn:
        raise OperatorMissing(f"mmcv's operator '{name}' is not in torchvision: {HOW_TO_GET_MMCV}")

    operator.__name__ = name
    return operator
