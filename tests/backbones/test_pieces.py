"""The pieces that the systems share, each against a slow version of itself."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpro_bench.backbones import pieces
from mixpro_bench.backbones.attention import attention_row

sides = st.integers(1, 9)


@given(sides, sides, sides, sides)
@settings(max_examples=40, deadline=None)
def test_windows_come_back_and_the_mask_counts_the_tokens(h: int, w: int, rows: int, columns: int):
    x = 1 + torch.rand(2, h, w, 3)
    windows, mask = pieces.partition(x, (rows, columns))
    assert windows.shape == (2, math.ceil(h / rows) * math.ceil(w / columns), rows * columns, 3)
    assert torch.equal(pieces.unpartition(windows, (rows, columns), (h, w)), x)
    if mask is None:
        assert h % rows == 0
        assert w % columns == 0
    else:
        assert int(mask.sum()) == h * w
        assert mask.any(dim=1).all()
        assert torch.equal((windows[0, :, :, 0] > 0), mask)


def test_a_window_is_a_rectangle_of_the_map():
    x = torch.arange(4 * 6.0).reshape(1, 4, 6, 1)
    windows, mask = pieces.partition(x, (2, 3))
    assert mask is None
    assert torch.equal(windows[0, 1, :, 0], x[0, :2, 3:, 0].flatten())
    assert torch.equal(windows[0, 2, :, 0], x[0, 2:, :3, 0].flatten())


def test_pad_to_pads_what_is_missing_and_no_more():
    x = torch.rand(1, 2, 5, 7)
    padded = pieces.pad_to(x, (4, 7))
    assert padded.shape == (1, 2, 8, 7)
    assert torch.equal(padded[..., :5, :], x)
    assert not padded[..., 5:, :].any()
    assert torch.equal(pieces.pad_to(x.permute(0, 2, 3, 1), (4, 7), channels_last=True), padded.permute(0, 2, 3, 1))
    assert pieces.pad_to(x, (5, 7)) is x


@pytest.mark.parametrize(("size", "biased"), [((6, 4), True), ((5, 7), True), ((5, 7), False), ((6, 4), False)])
def test_attention_in_windows(size: tuple[int, int], biased: bool):
    """Against softmax over the real tokens of one window, image and head at a time."""
    torch.manual_seed(0)
    heads, window = 2, (3, 2)
    x = torch.randn(2, *size, 8, requires_grad=True)
    bias = torch.randn(heads, 6, 6) if biased else None
    windows, mask = pieces.partition(x, window)
    q = pieces.split_heads(windows, heads)
    found = pieces.attend_windows(q, q * 0.7, q + 1, bias=bias, mask=mask, scale=0.3)
    for image in range(2):
        for i in range(windows.shape[1]):
            keep = torch.ones(6, dtype=torch.bool) if mask is None else mask[i]
            for head in range(heads):
                t = windows[image, i, :, head * 4 : head * 4 + 4]
                scores = t @ (0.7 * t).T * 0.3
                scores = scores if bias is None else scores + bias[head]
                expected = scores[:, keep].softmax(dim=1) @ (t + 1)[keep]
                assert torch.allclose(found[image, i, head], expected, atol=1e-5)
    joined = pieces.join_heads(found)
    assert torch.equal(joined[..., 4:], found[:, :, 1])
    pieces.unpartition(joined, window, size).square().sum().backward()
    assert x.grad.isfinite().all()
    assert (x.grad.abs().sum(-1) > 0).all()


def test_padding_is_attended_to_by_nobody():
    """What stands in the padding does not matter; without the mask it would."""
    torch.manual_seed(0)
    windows, mask = pieces.partition(torch.randn(1, 3, 3, 4), 2)
    other = torch.where(mask[None, :, :, None], windows, 9.0)
    a, b = (pieces.split_heads(t, 1) for t in (windows, other))
    with_mask = [pieces.attend_windows(t, t, t, mask=mask) for t in (a, b)]
    without = [pieces.attend_windows(t, t, t) for t in (a, b)]
    at = mask[None, :, None, :, None].expand_as(a)
    assert torch.allclose(with_mask[0][at], with_mask[1][at], atol=1e-6)
    assert not torch.allclose(without[0][at], without[1][at], atol=1e-2)


@pytest.mark.parametrize("window", [(3, 3), (2, 4)])
def test_relative_bias_depends_on_the_offset_only(window: tuple[int, int]):
    bias = pieces.RelativeBias(window, heads=2)
    torch.nn.init.normal_(bias.table)
    assert sum(p.numel() for p in bias.parameters()) == 2 * (2 * window[0] - 1) * (2 * window[1] - 1)
    made = bias()
    cells = [(i, j) for i in range(window[0]) for j in range(window[1])]
    for m, (i, j) in enumerate(cells):
        for n, (y, x) in enumerate(cells):
            expected = bias.table[:, i - y + window[0] - 1, j - x + window[1] - 1]
            assert torch.equal(made[:, m, n], expected)
    assert "index" not in bias.state_dict()


def test_relative_bias_of_another_window_is_the_resized_table():
    bias = pieces.RelativeBias(3, heads=2)
    torch.nn.init.normal_(bias.table)
    larger = bias((4, 5))
    assert larger.shape == (2, 20, 20)
    table = F.interpolate(bias.table[None], size=(7, 9), mode="bicubic", align_corners=False)[0]
    # Offset (0, 0) stays in the middle of the table, whatever the window.
    assert torch.allclose(larger.diagonal(dim1=1, dim2=2), table[:, 3, 4, None].expand(-1, 20))
    assert torch.allclose(table[:, 3, 4], bias.table[:, 2, 2], atol=1e-5)
    assert torch.equal(bias((3, 3)), bias())


def test_resize_table_keeps_lead_and_dtype():
    table = torch.rand(2, 3, 4, 5, dtype=torch.bfloat16)
    assert pieces.resize_table(table, (4, 5)) is table
    resized = pieces.resize_table(table, (7, 6))
    assert resized.shape == (2, 3, 7, 6)
    assert resized.dtype == torch.bfloat16
    alone = F.interpolate(table[1, 2][None, None].float(), size=(7, 6), mode="bicubic")[0, 0]
    assert torch.equal(resized[1, 2], alone.bfloat16())
    constant = torch.full((1, 3, 3), 2.5)
    assert torch.allclose(pieces.resize_table(constant, (5, 8)), torch.tensor(2.5))


def test_sincos_position():
    position = pieces.sincos_position(8, (3, 4))
    assert position.shape == (1, 8, 3, 4)
    for row in range(3):
        for column in range(4):
            expected = [f(at * w) for at in (column, row) for f in (math.sin, math.cos) for w in (1, 10000**-0.5)]
            assert position[0, :, row, column].tolist() == pytest.approx(expected, abs=1e-6)


def test_drop_path_rates_grow_over_all_stages():
    rates = pieces.drop_path_rates(0.3, [1, 2, 1])
    assert [len(stage) for stage in rates] == [1, 2, 1]
    assert [rate for stage in rates for rate in stage] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert pieces.drop_path_rates(0.3, [1]) == [[0]]


def test_class_attention():
    torch.manual_seed(0)
    layer, x = pieces.ClassAttention(12, heads=3), 3 * torch.randn(2, 6, 12)
    out, row = layer(x, read=True)
    k, v = layer.kv(x).chunk(2, dim=-1)
    rows, heads = [], []
    for h in range(3):
        part = slice(4 * h, 4 * h + 4)
        weights = (layer.q(x[:, :1])[..., part] @ k[..., part].transpose(1, 2) / 2).softmax(dim=-1)
        rows.append(weights[:, 0])
        heads.append(weights @ v[..., part])
    assert torch.allclose(out, layer.proj(torch.cat(heads, dim=-1)), atol=1e-6)
    assert torch.allclose(row, torch.stack(rows).mean(0)[:, 1:], atol=1e-6)
    assert not row.requires_grad
    assert layer(x)[1] is None
    assert sum(p.numel() for p in layer.parameters()) == 4 * (12 * 12 + 12)


@pytest.mark.parametrize("read", ["cls", "mean"])
def test_attention_row_sees_the_bias(read):
    torch.manual_seed(0)
    q, k = torch.randn(2, 3, 6, 4), torch.randn(2, 3, 6, 4)
    bias = torch.randn(3, 6, 6)
    bias[..., 4] = float("-inf")
    row = attention_row(q, k, 0.5, read, prefix=1, bias=bias)
    weights = (q @ k.transpose(-2, -1) * 0.5 + bias).softmax(dim=-1).mean(dim=1)
    expected = weights[:, 0, 1:] if read == "cls" else weights[:, 1:, 1:].mean(dim=1)
    assert torch.allclose(row, expected, atol=1e-6)
    assert not row[:, 3].any()
