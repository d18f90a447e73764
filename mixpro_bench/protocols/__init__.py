"""Protocols: everything that a run's config must say but for what is compared, by name and version.

A config names its protocol in ``bench.protocol`` and ``bench.version``. The numbers stand twice, in the config and
here, on purpose: whoever changes one of them changes what Records of that protocol mean, and `deviations` (in the tests
for every shipped config, and in every run) says so. A changed number is a new version.

Method, preset, backbone and seed are left open; so is how fast a run is: workers, precision, and how the global batch
is made of processes, batch per process and accumulation. Learning rates scale linearly with the global batch
(``auto_scale_lr``), and as the schedules are factors of the rate, so do the first and the last rate of the warm-up and
of the cosine.
"""

from mixpro_bench.protocols import demo, dense, imagenet
from mixpro_bench.protocols.check import deviations, deviations_of_run, global_batch, value_at
from mixpro_bench.protocols.protocol import PROTOCOLS, Protocol, protocol_of

__all__ = [
    "PROTOCOLS",
    "Protocol",
    "demo",
    "dense",
    "deviations",
    "deviations_of_run",
    "global_batch",
    "imagenet",
    "protocol_of",
    "value_at",
]
