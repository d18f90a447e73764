"""RaftMLP."""

from mixpro_bench.systems.model import System, Variant

SYSTEMS = (
    System(
        name="RaftMLP",
        kind="perceptrons along columns and rows, four stages",
        build=dict(type="mixpro_bench.RaftMLP"),
        variants=(
            Variant("raft_mlp_s", 9_868_768, 2.09),
            Variant("raft_mlp_m", 21_413_632),
            Variant("raft_mlp_l", 36_184_672),
        ),
        test=dict(variant="raft_mlp_test"),
        importance="cam",
        attention="none; class activation map (exact: the norm stands before pooling)",
        channels=(64, 128, 256, 512),
        strides=(4, 8, 16, 32),
        source="okojoalg/raft-mlp",
        licence="Apache-2.0",
        remark="at other sizes than its own, what it adds along columns and rows is resized; the authors' code resizes "
        "the whole map (mode='official')",
    ),
)
