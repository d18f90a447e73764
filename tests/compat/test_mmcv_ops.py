"""torchvision's operators under mmcv's names: against slow references, in other types, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpro_bench.compat import mmcv_ops
from mixpro_bench.compat.mmcv_ops import OperatorMissing, StandIn


def slow_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float, offset: int) -> list[int]:
    """The definition, in fp32 as mmcv computes: the best box goes on the list, what overlaps it goes."""
    boxes = boxes.astype(np.float32)
    one = np.float32(offset)

    def area(b):
        return (b[2] - b[0] + one) * (b[3] - b[1] + one)

    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        overlaps = False
        for k in kept:
            a, b = boxes[i], boxes[k]
            width = max(np.float32(0), min(a[2], b[2]) - max(a[0], b[0]) + one)
            height = max(np.float32(0), min(a[3], b[3]) - max(a[1], b[1]) + one)
            shared = width * height
            overlaps |= bool(shared / (area(a) + area(b) - shared) > np.float32(threshold))
        if not overlaps:
            kept.append(int(i))
    return kept


# Whole pixels: the corners of real boxes are where an overlap equals the threshold exactly.
box = st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(1, 10), st.integers(1, 10))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(box, min_size=1, max_size=12),
    st.sampled_from([0.1, 0.3, 0.5, 0.6, 0.7, 1 / 3]),
    st.sampled_from([0, 1]),
    st.integers(0, 2**16),
)
def test_nms_agrees_with_its_definition(corners, threshold, offset, seed):
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in corners], dtype=np.float32)
    scores = np.random.default_rng(seed).permutation(len(boxes)).astype(np.float32)
    kept = StandIn.nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou_threshold=threshold, offset=offset)
    assert kept.tolist() == slow_nms(boxes, scores, threshold, offset)


def test_nms_of_no_boxes_is_empty():
    kept = StandIn.nms(torch.zeros(0, 4), torch.zeros(0), iou_threshold=0.5, offset=0)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_nms_takes_any_type(dtype):
    boxes = torch.tensor([[0, 0, 8, 8], [0, 0, 8, 7], [20, 20, 24, 24]], dtype=dtype)
    kept = StandIn.nms(boxes, torch.tensor([0.5, 0.9, 0.7]), iou_threshold=0.5, offset=0)
    assert kept.tolist() == [1, 2]


def align(features: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
    out = features.new_zeros(len(rois), features.shape[1], 4, 4)
    empty = features.new_zeros(0)
    options = dict(aligned_height=4, aligned_width=4, spatial_scale=0.5, sampling_ratio=2, pool_mode=1, aligned=True)
    StandIn.roi_align_forward(features, rois, out, empty, empty, **options)
    return out


ROIS = torch.tensor([[0, 2.0, 3.0, 11.0, 13.0], [1, 0.0, 0.0, 15.0, 9.0]])


def test_roi_align_of_a_plane_is_the_plane():
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    plane = (3 * rows + columns).expand(2, 1, 16, 16)
    out = align(plane, torch.tensor([[0, 8.0, 8.0, 24.0, 24.0]]))
    # With aligned corners the box covers pixels 3.5 to 11.5, two pixels to a bin.
    centres = torch.arange(4) * 2 + 4.5
    torch.testing.assert_close(out[0, 0], 3 * centres[:, None] + centres[None])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
def test_roi_align_computes_half_precision_in_fp32(dtype, autocast):
    features = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        out = align(features, ROIS)
    assert out.dtype == dtype
    assert torch.equal(out, align(features.float(), ROIS).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_roi_align_gradient_is_the_adjoint(dtype):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 3, 16, 16, generator=generator)
    grad_out = torch.randn(2, 3, 4, 4, generator=generator).to(dtype)
    grad = torch.zeros(2, 3, 16, 16, dtype=dtype)
    options = dict(aligned_height=4, aligned_width=4, spatial_scale=0.5, sampling_ratio=2, pool_mode=1, aligned=True)
    StandIn.roi_align_backward(grad_out, ROIS, grad.new_zeros(0), grad.new_zeros(0), grad, **options)
    left = (align(features, ROIS) * grad_out.float()).sum()
    right = (features * grad.float()).sum()
    torch.testing.assert_close(left, right, rtol=1e-4 if dtype == torch.float32 else 0.05, atol=0.05)


def test_other_operators_are_named_in_the_refusal():
    stand_in = StandIn("mmcv._ext")
    with pytest.raises(OperatorMissing, match=r"'deform_conv_forward'.*pip install.*mmcv==2.1.0"):
        stand_in.deform_conv_forward(1, 2)
    empty = torch.zeros(0)
    with pytest.raises(OperatorMissing, match="pool_mode='max'"):
        StandIn.roi_align_forward(
            empty, empty, empty, empty, empty,
            aligned_height=1, aligned_width=1, spatial_scale=1.0, sampling_ratio=0, pool_mode=0, aligned=True,
        )  # fmt: skip


@pytest.mark.mm
def test_install_is_announced_once_and_lets_mmdet_import():
    code = (
        "from mixpro_bench import compat\n"
        "from mixpro_bench.compat.mmcv_ops import backend\n"
        "before = backend()\n"
        "compat.install(); compat.install()\n"
        "assert backend() == before\n"
        "import mmcv.ops, torch\n"
        "from mmcv.utils.ext_loader import check_ops_exist\n"
        "assert check_ops_exist() == (before == 'mmcv-compiled')\n"
        "mmcv.ops.get_compiler_version()\n"
        "print(before)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    backend = done.stdout.strip()
    assert backend == mmcv_ops.backend()
    assert done.stderr.count("stand in") == (backend == "torchvision")
