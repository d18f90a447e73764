"""A SLURM of one's own: a controller and two node daemons on this machine, there for as long as the tests."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "srun", "setpriv")
PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))

CONFIG = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
KillWait=5
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1
NodeName=first NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cpus} State=UNKNOWN
NodeName=second NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Cluster:
    """A running SLURM; its commands find it by SLURM_CONF."""

    folder: Path

    def command(self, *words: str) -> str:
        """Run one of SLURM's commands."""
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=30).stdout

    def jobs(self) -> dict[str, str]:
        """State of each job by name, ended ones included."""
        lines = self.command("squeue", "--noheader", "--states=all", "--format=%j|%T").splitlines()
        return dict(line.split("|") for line in lines)

    def wait(self, what: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"{self.command('squeue', '--states=all')}\n{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        """The daemons' last words."""
        return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in self.folder.glob("*.log"))


@pytest.fixture(scope="session")
def _cluster() -> Iterator[Cluster]:
    if sys.platform != "linux" or os.getuid() != 0:
        pytest.skip("SLURM's daemons are started by root, on Linux")
    missing = [name for name in PROGRAMS if shutil.which(name, path=PLACES) is None]
    if missing:
        pytest.skip(f"SLURM is not installed (apt-get install slurm-wlm munge): {', '.join(missing)} not found")
    # Not below pytest's folder, which nobody else may enter: munged runs as its own user.
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        before = os.environ.get("SLURM_CONF")
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
        try:
            try:
                cluster = _start(folder)
            except (OSError, KeyError, subprocess.SubprocessError, TimeoutError) as error:
                said = (getattr(error, "stderr", None) or str(error)).strip().splitlines() or ["no reason"]
                pytest.skip(f"SLURM cannot start on this machine: {said[-1]}")
            yield cluster
        finally:
            _stop(folder)
            os.environ.pop("SLURM_CONF")
            if before is not None:
                os.environ["SLURM_CONF"] = before


@pytest.fixture
def cluster(_cluster: Cluster) -> Iterator[Cluster]:
    """The SLURM, with an empty queue before and after."""
    yield _cluster
    _cluster.command("scancel", "--user=root")
    _cluster.wait(lambda: not _cluster.command("squeue", "--noheader").strip())


def _start(folder: Path) -> Cluster:
    munge = folder / "munge"
    munge.mkdir(mode=0o755)
    (munge / "key").write_bytes(os.urandom(1024))
    (munge / "key").chmod(0o400)
    owner = pwd.getpwnam("munge")
    for path in (munge, munge / "key"):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    _daemon(
        "setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", shutil.which("munged", path=PLACES) or "munged",
        f"--key-file={munge}/key", f"--socket={munge}/socket", f"--pid-file={munge}/munged.pid",
        f"--log-file={munge}/log", f"--seed-file={munge}/seed", "--force",
    )  # fmt: skip
    for name in ("state", "first", "second"):
        (folder / name).mkdir()
    # Runs want more CPUs at once than a small machine has; nothing binds them here.
    host, ports = socket.gethostname().split(".")[0], _free_ports(3)
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(folder=folder, host=host, ports=ports, cpus=os.cpu_count()))
    config.chmod(0o644)
    _daemon(shutil.which("slurmctld", path=PLACES) or "slurmctld", "-f", str(config))
    for node in ("first", "second"):
        _daemon(shutil.which("slurmd", path=PLACES) or "slurmd", "-f", str(config), "-N", node)
    cluster = Cluster(folder)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        done = subprocess.run(["sinfo", "--noheader", "--format=%D %t"], capture_output=True, text=True, timeout=30)
        if done.stdout.strip() == "2 idle":
            return cluster
        time.sleep(0.2)
    raise TimeoutError(f"no idle nodes after 20 s: {done.stdout} {done.stderr} {cluster.logs()}".replace("\n", "; "))


def _daemon(*words: str) -> None:
    """Start what goes into the background by itself."""
    subprocess.run(words, check=True, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)


def _stop(folder: Path) -> None:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(["scancel", "--user=root"], capture_output=True, timeout=10)
        time.sleep(0.5)
    numbers = []
    for path in (*folder.glob("slurmd-*.pid"), folder / "slurmctld.pid", folder / "munge/munged.pid"):
        with contextlib.suppress(OSError, ValueError):
            numbers.append(int(path.read_text()))
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{number}").exists() for number in numbers) and time.monotonic() < deadline:
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
