import json
import subprocess

import pytest
import tensorflow as tf

from wing_tf.training.cluster import Cluster, join_workers, slurm_cluster, tf_config_cluster

TWO = ["a:1", "b:1"]


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


def _tf_config(cluster, **task):
    return json.dumps({"cluster": cluster, "task": task})


def test_a_single_process_trains_alone(monkeypatch):
    for text in ("", "{}", _tf_config({"worker": ["a:1"]}, type="worker", index=0)):
        monkeypatch.setenv("TF_CONFIG", text)
        workers = join_workers()
        assert (workers.index, workers.count, workers.is_chief) == (0, 1, True)


def test_tf_config_names_the_workers(monkeypatch):
    cluster = {"chief": ["c:1"], "worker": TWO}
    monkeypatch.setenv("TF_CONFIG", _tf_config(cluster, type="worker", index=1))
    assert tf_config_cluster() == Cluster(cluster, "worker", 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'cluster'}", "TF_CONFIG must be JSON such as .* Received: {'cluster'}"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "TF_CONFIG must be JSON such as"),
        (_tf_config({"worker": TWO}, type="worker", index=2), "no address of its own task, worker"),
        (_tf_config({"worker": TWO, "ps": ["c:1"]}, type="worker", index=0), "worker, ps"),
        (_tf_config({"worker": "a:1"}, type="worker", index=0), 'by lists of "HOST:PORT"'),
        (_tf_config({"worker": ["a", "b"]}, type="worker", index=0), 'by lists of "HOST:PORT"'),
        (_tf_config({"worker": ["a:1", "a:1"]}, type="worker", index=0), "the same address"),
    ],
)
def test_wrong_tf_config_is_refused(text, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=message):
        join_workers()


def test_a_process_that_used_tensorflow_is_told_and_not_killed(monkeypatch):
    tf.constant(0)
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    cluster = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}
    monkeypatch.setenv("TF_CONFIG", _tf_config(cluster, type="worker", index=0))
    with pytest.raises(RuntimeError, match="call `join_workers` first"):
        join_workers()
    (watchdog,) = started
    assert watchdog.poll() == 0


def test_slurm_tasks_keep_their_hosts(monkeypatch):
    """Slurm ranks n2 before n10; TensorFlow's resolver sorts n10 first."""
    variables = {
        "STEP_NUM_TASKS": "3", "STEP_NODELIST": "n[2,10]", "STEP_TASKS_PER_NODE": "2,1",
        "JOB_ID": "7",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    found = []
    for rank, (host, local) in enumerate([("n2", 0), ("n2", 1), ("n10", 0)]):
        monkeypatch.setenv("SLURM_PROCID", str(rank))
        monkeypatch.setenv("SLURMD_NODENAME", host)
        monkeypatch.setenv("SLURM_LOCALID", str(local))
        cluster = slurm_cluster()
        found.append(cluster.jobs["worker"][cluster.task])
    assert found == ["n2:12112", "n2:12113", "n10:12112"]
    monkeypatch.delenv("SLURM_STEP_NODELIST")
    with pytest.raises(ValueError, match="Start wing-train by srun, or set TF_CONFIG"):
        slurm_cluster()
