"""RaftMLP-M: 21.4 M parameters, 4.27 GMAC for an image of 224 px (torch's FlopCounterMode).

Drop path 0.1 is this package's choice.
"""

backbone = dict(type="mixpro_bench.RaftMLP", variant="raft_mlp_m", drop_path_rate=0.1)
pyramid = dict(in_channels=[96, 192, 384, 768], in_strides=[4, 8, 16, 32])
