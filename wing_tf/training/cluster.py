"""Clusters: the addresses of the workers that train together, from TF_CONFIG or Slurm."""

import contextlib
import json
import os
import re
from typing import NamedTuple

import keras
import tensorflow as tf

import wing_tf
from wing_tf.training.accelerator import make_strategy
from wing_tf.training.watchdog import Watchdog
from wing_tf.training.workers import Workers


class Cluster(NamedTuple):
    """The workers' addresses by job ("chief" and "worker"), and which one this is."""

    jobs: dict[str, list[str]]
    job: str
    task: int


def join_workers(timeout_seconds: float = 600.0) -> Workers:
    """Joins the workers that TF_CONFIG names or, without it, those of a Slurm job step.

    Call it before anything else that uses TensorFlow. It waits until all workers have called it.

    Args:
        timeout_seconds: Seconds without progress (a step, or a message between the workers) after
            which each worker is killed, with one line on standard error. Longer than reading the
            records, the first step with its compilation, and a validation.

    Returns:
        The workers, a context manager; this process alone, with all its devices, if neither names
        several.

    Raises:
        ValueError: If TF_CONFIG or Slurm's variables are not valid, or if the workers have
            different versions of the packages.
        ConnectionError: If this worker can't listen at its address, or can't reach the others.
        RuntimeError: If this process has used TensorFlow before.

    Examples:
        >>> with join_workers() as workers:
        ...     train(config, "RUN", workers=workers)
    """
    cluster = tf_config_cluster() or slurm_cluster()
    addresses = cluster.jobs.get("chief", []) + cluster.jobs.get("worker", []) if cluster else []
    if cluster is None or len(addresses) < 2:
        return Workers(make_strategy())
    index = cluster.task + (len(cluster.jobs.get("chief", [])) if cluster.job == "worker" else 0)
    who = f"Worker {index} of {len(addresses)}"
    watchdog = Watchdog(
        timeout_seconds,
        f"error: {who} has made no progress for {timeout_seconds:g} seconds: a worker hangs, or "
        "does not run. Start all workers again to resume; --worker_timeout sets the seconds.",
    )
    tf.get_logger().setLevel("WARNING")  # It describes the cluster in five lines.
    gpus = tf.config.get_visible_devices("GPU")
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster.jobs),
        task_type=cluster.job,
        task_id=cluster.task,
        num_accelerators={"GPU": len(gpus)},
        rpc_layer="grpc",
    )
    kinds = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=kinds.NCCL if gpus else kinds.RING
    )
    with contextlib.ExitStack() as stack:
        # Or it would kill a process that continues after an error, such as a notebook's.
        stack.callback(watchdog.close)
        try:
            strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
        except tf.errors.OpError as error:
            raise ConnectionError(
                f"{who} can't listen at {addresses[index]} or can't reach the others: "
                f"{error.message.strip().splitlines()[0]}"
            ) from error
        except RuntimeError as error:
            raise RuntimeError(
                f"{who} can't join the others: this process has used TensorFlow before. Start a "
                f"new one, and call `join_workers` first. ({error})"
            ) from error
        workers = Workers(strategy, index=index, count=len(addresses), watchdog=watchdog)
        stack.enter_context(workers)  # names the reason of errors
        versions = (wing_tf.__version__, tf.__version__, keras.__version__)
        workers.check_same({"versions of wing-tf, TensorFlow and Keras": versions})
        stack.pop_all()
    return workers


def tf_config_cluster() -> Cluster | None:
    """Returns the cluster of TF_CONFIG, if it names one."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text or "{}")
        if not config.get("cluster"):
            return None
        jobs = {job: list(addresses) for job, addresses in config["cluster"].items()}
        cluster = Cluster(jobs, config["task"]["type"], int(config["task"]["index"]))
    except (AttributeError, LookupError, TypeError, ValueError):
        raise ValueError(
            'TF_CONFIG must be JSON such as {"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, '
            f'"task": {{"type": "worker", "index": 0}}}}. Received: {text}'
        ) from None
    if not jobs.keys() <= {"chief", "worker"}:
        raise ValueError(
            "TF_CONFIG may name the jobs chief and worker, whose tasks all train. Received: "
            f"{', '.join(jobs)}."
        )
    addresses = [address for tasks in jobs.values() for address in tasks]
    if not all(re.fullmatch(r".+:\d+", str(address)) for address in addresses):
        raise ValueError(
            f'TF_CONFIG must name the jobs\' tasks by lists of "HOST:PORT". Received: {text}'
        )
    if len(set(addresses)) < len(addresses):
        raise ValueError(f"TF_CONFIG gives two tasks the same address. Received: {text}")
    if not 0 <= cluster.task < len(jobs.get(cluster.job, [])):
        raise ValueError(
            f"TF_CONFIG has no address of its own task, {cluster.job} {cluster.task}. "
            f"Received: {text}"
        )
    return cluster


def slurm_cluster() -> Cluster | None:
    """Returns the cluster of a Slurm job step, if this is a task of one."""
    if os.environ.get("TF_CONFIG") or int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) < 2:
        return None
    count = int(os.environ["SLURM_STEP_NUM_TASKS"])
    try:
        # It only expands the lists of hosts and tasks here: of GPUs, it counts those that this task
        # sees, which Slurm may have divided between the tasks already.
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=12000 + 16 * int(os.environ["SLURM_JOB_ID"]) % 20000,  # the job's own
            gpus_per_node=count, gpus_per_task=1, auto_set_gpu=False,
        )  # fmt: skip
        addresses = list(resolver.cluster_spec().job_tasks("worker"))
        task = int(os.environ["SLURM_PROCID"])
    except (LookupError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"Slurm's variables name {count} tasks, but are not those of a job step: {error} Start "
            "wing-train by srun, or set TF_CONFIG."
        ) from None
    # The resolver sorts the hosts by name, and Slurm ranks n2 before n10.
    host = os.environ.get("SLURMD_NODENAME")
    own = [i for i, address in enumerate(addresses) if address.rpartition(":")[0] == host]
    if own:
        task = own[int(os.environ.get("SLURM_LOCALID", 0))]
    return Cluster({"worker": addresses}, "worker", task)
