import contextlib
import dataclasses
import functools
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys

import cv2
import numpy as np
import pytest
from dots import DotSource
from waiting import wait_until

from tfrecords_tools.beam import write_records_with_beam
from tfrecords_tools.sources import CsvSource, Item, SyntheticSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.write_job import make_job
from tfrecords_tools.writer import write_records

pytest.importorskip("apache_beam", reason="Apache Beam is not installed: pip install -e '.[beam]'")

ROOT = pathlib.Path(__file__).parents[2]
SIDE = SquareFormat(side=64)


def _bytes(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class Splits(DotSource):
    """Two splits of several shards; of one shard, and of a third split, all faces are bad."""

    def __init__(self):
        super().__init__(28, bad=(3, 12, *range(24, 28)))

    def items(self):
        splits = ["train"] * 16 + ["test_a"] * 8 + ["test_bad"] * 4
        return [
            Item(f"dot/{i}", f"dot/{i}", split, i, ("odd",) * (i % 2))
            for i, split in enumerate(splits)
        ]

    def load(self, item):
        face = super().load(item)
        # Images of nothing but a dot would count as copies, which stay in one split.
        texture = np.random.default_rng(item.source_data).integers(0, 256, (6, 6, 3), np.uint8)
        image = cv2.resize(texture, face.image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        return dataclasses.replace(face, image=image)


def _with_a_shard_of_bad_faces():
    source = Splits()
    tasks = make_job(source, "nowhere", faces_per_shard=3).tasks
    shard = next(task.shard for task in tasks if task.split == "test_a")
    source.bad += tuple(task.item.source_data for task in tasks if task.shard == shard)
    return source, shard


@pytest.mark.parametrize(
    "options",
    [None, ["--runner=DirectRunner", "--direct_num_workers=2",
            "--direct_running_mode=multi_threading"]],
)  # fmt: skip
def test_beam_writes_the_same_files_as_the_local_writer(tmp_path, options):
    source, emptied = _with_a_shard_of_bad_faces()
    local = write_records(
        source,
        tmp_path / "local",
        square_format=SIDE,
        faces_per_shard=3,
        num_processes=0,
        progress=False,
    )
    manifest = write_records_with_beam(
        source, tmp_path / "beam", square_format=SIDE, faces_per_shard=3, pipeline_options=options
    )
    assert manifest == local
    assert _bytes(tmp_path / "beam") == _bytes(tmp_path / "local")
    assert set(manifest["counts"]) == {"train", "validation", "test_a"}
    assert len(manifest["shards"]) > 8
    # A shard whose faces were all skipped is an empty file, because shards count one another.
    assert manifest["shards"][emptied]["faces"] == 0
    assert (tmp_path / "beam" / emptied).stat().st_size == 0


def test_beam_reports_skipped_rows_and_faces_once(tmp_path):
    """Workers list the source again; the manifest names each skipped row and face once."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((90, 120, 3), np.uint8))
    header = "path," + ",".join(f"{a}{i}" for i in range(5) for a in "xy") + ",split"
    good = "10,20,30,20,20,30,12,40,28,40"
    rows = [f"a.png,1{i}{good[2:]},{'test' if i % 3 else 'train'}" for i in range(20)]
    rows[4], rows[9], rows[11] = f"b.png,{good},train", "a.png,1,2", f"a.png,x{good},test"
    (tmp_path / "faces.csv").write_text("\n".join([header, *rows]) + "\n")
    source = CsvSource(tmp_path / "faces.csv", scheme="celeba_5")
    options = {"square_format": SIDE, "faces_per_shard": 4}
    local = write_records(source, tmp_path / "l", num_processes=0, progress=False, **options)
    assert write_records_with_beam(source, tmp_path / "beam", **options) == local
    assert _bytes(tmp_path / "beam") == _bytes(tmp_path / "l")
    assert list(local["skipped"]) == ["line 11", "line 13", "b.png#6"]
    assert sum(local["counts"].values()) == 17


@pytest.mark.slow  # each process imports TensorFlow and Beam
def test_two_beam_processes_write_the_same_files(tmp_path):
    source = SyntheticSource(num_train=24, num_test=8, seed=1, image_size=128)
    write_records(source, tmp_path / "local", square_format=SIDE, faces_per_shard=8, progress=False)
    write_records_with_beam(
        source, tmp_path / "beam", square_format=SIDE, faces_per_shard=8,
        pipeline_options=["--direct_num_workers=2"],
    )  # fmt: skip
    assert _bytes(tmp_path / "beam") == _bytes(tmp_path / "local")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def cluster(tmp_path):
    """Options of a runner whose job server and workers are other processes, as on a cluster."""
    ports = {"job": _free_port(), "pool": _free_port()}
    commands = (
        ["apache_beam.runners.portability.local_job_service_main", f"--port={ports['job']}"],
        ["apache_beam.runners.worker.worker_pool_main", f"--service_port={ports['pool']}"],
    )
    # The pool starts its workers by the name "python".
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((tmp_path / "cluster.log").open("w"))
        for command in commands:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(os.killpg, process.pid, signal.SIGKILL)  # and the workers of the pool
        for port in ports.values():
            wait_until(functools.partial(_listens, port))
        yield [
            "--runner=PortableRunner", f"--job_endpoint=localhost:{ports['job']}",
            "--environment_type=EXTERNAL", f"--environment_config=localhost:{ports['pool']}",
        ]  # fmt: skip


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow  # the servers and each worker import Beam
def test_cluster_writes_the_same_files_after_a_run_that_was_killed(tmp_path, cluster, capsys):
    """The job of the killed run continues, with squares of another size, and must not interfere."""
    output = tmp_path / "beam"
    first = subprocess.Popen(
        [sys.executable, "-m", "tfrecords_tools.cli", "write", "--source=synthetic",
         "--num_train=96", "--side=96", "--faces_per_shard=3", "--validation_fraction=0",
         f"--output={output}", "--beam", f"--beam_options={shlex.join(cluster)}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        wait_until(lambda: first.poll() is not None or [*tmp_path.glob("beam.partial/*/*.tfrec*")])
    finally:
        first.kill()
    assert first.wait() == -signal.SIGKILL
    assert not output.exists()

    source = SyntheticSource(num_train=24, num_test=8, seed=1, image_size=128)
    options = {"square_format": SIDE, "faces_per_shard": 3, "validation_fraction": 0.25}
    manifest = write_records_with_beam(source, output, pipeline_options=cluster, **options)
    assert "beam.partial, left by a run that was stopped, is removed" in capsys.readouterr().out
    local = write_records(source, tmp_path / "local", progress=False, **options)
    assert manifest == local
    assert _bytes(output) == _bytes(tmp_path / "local")
    assert not list(tmp_path.glob("beam?*"))


def test_strict_beam_names_the_same_first_bad_face(tmp_path):
    messages = []
    for write, options in ((write_records, {"progress": False}), (write_records_with_beam, {})):
        with pytest.raises(ValueError, match="bad on purpose") as error:
            write(DotSource(12, bad=(3, 5, 8)), tmp_path / "r", strict=True, **options)
        messages.append(str(error.value))
        assert list(tmp_path.iterdir()) == []
    assert messages[0] == messages[1]


def test_failed_beam_worker_leaves_no_files(tmp_path):
    class Broken(DotSource):
        listed = False

        def items(self):
            if self.listed:  # a second time, by a worker
                raise RuntimeError("a defect of the source")
            self.listed = True
            return super().items()

    with pytest.raises(RuntimeError, match="a defect of the source"):
        write_records_with_beam(Broken(), tmp_path / "r")
    assert list(tmp_path.iterdir()) == []
