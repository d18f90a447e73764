"""The operators in use against those of compiled mmcv, on every ``mmcv_ops_*.npz`` of the folder MIXPRO_GOLDEN."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from mixpro_bench import compat

FOLDER = Path(os.environ.get("MIXPRO_GOLDEN") or Path(__file__).parent)
FILES = sorted(FOLDER.glob("mmcv_ops_*.npz"))
pytestmark = pytest.mark.mm


@pytest.fixture(scope="module", autouse=True)
def _operators():
    compat.install()


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def golden(request) -> dict[str, torch.Tensor]:
    with np.load(request.param) as archive:
        return {key: torch.from_numpy(archive[key]) for key in archive.files}


def _has(golden: dict[str, torch.Tensor], *keys: str) -> None:
    if not all(key in golden for key in keys):
        pytest.skip(f"the file has no {', '.join(keys)}")


def test_roi_align_forward_and_gradient(golden):
    from mmcv.ops import roi_align

    cases = sorted(key[:-4] for key in golden if re.fullmatch(r"ra\d+_cfg", key))
    if not cases:
        pytest.skip("the file has no RoIAlign case")
    for case in cases:
        sampling, aligned, scale, size = golden[f"{case}_cfg"].tolist()
        features = golden[f"{case}_x"].clone().requires_grad_()
        out = roi_align(features, golden[f"{case}_rois"], int(size), scale, int(sampling), "avg", bool(aligned))
        out.backward(golden[f"{case}_g"])
        torch.testing.assert_close(out.detach(), golden[f"{case}_y"], atol=1e-6, rtol=0)
        torch.testing.assert_close(features.grad, golden[f"{case}_gx"], atol=1e-6, rtol=0)


def test_nms_keeps_the_same(golden):
    from mmcv.ops import nms

    _has(golden, "nms_boxes", "nms_scores", "nms_keep", "nms_dets")
    dets, keep = nms(golden["nms_boxes"], golden["nms_scores"], 0.5)
    assert torch.equal(keep, golden["nms_keep"])
    torch.testing.assert_close(dets, golden["nms_dets"], atol=1e-6, rtol=0)


def test_nms_with_offset_keeps_the_same(golden):
    from mmcv.ops import nms

    _has(golden, "nms_boxes", "nms_scores", "nmsoff_keep")
    _, keep = nms(golden["nms_boxes"], golden["nms_scores"], 0.5, offset=1)
    assert torch.equal(keep, golden["nmsoff_keep"])


def test_batched_nms_keeps_the_same(golden):
    from mmcv.ops import batched_nms

    _has(golden, "nms_boxes", "nms_scores", "bnms_ids", "bnms_keep", "bnms_dets")
    config = dict(type="nms", iou_threshold=0.6)
    dets, keep = batched_nms(golden["nms_boxes"], golden["nms_scores"], golden["bnms_ids"], config)
    assert torch.equal(keep, golden["bnms_keep"])
    torch.testing.assert_close(dets, golden["bnms_dets"], atol=1e-6, rtol=0)
