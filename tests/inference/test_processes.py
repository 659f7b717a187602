"""Landmarkers that are pickled, copied and used in other processes."""

import copy
import multiprocessing
import pickle
import shutil

import numpy as np
import pytest

from wing_tf.detection import HaarDetector
from wing_tf.inference import Landmarker
from wing_tf.landmarks import find_scheme_map
from wing_tf.models.saving import save_network

TIMEOUT_S = 120  # a child that waits forever fails the test


def _points(faces):
    return [face.landmarks_px for face in faces]


def _in_fork(function):
    """Returns what a function returns in a forked process, which must end by itself."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(function()))
    process.start()
    try:
        assert receiver.poll(TIMEOUT_S), "the forked process is silent"
        result = receiver.recv()
        process.join(TIMEOUT_S)
        assert process.exitcode == 0
        return result
    finally:
        process.kill()
        process.join()


def test_forked_processes_can_use_the_landmarker(exported, frame):
    landmarker = Landmarker(exported("heatmaps")[2], num_threads=2)
    expected = _points(landmarker(*frame))
    for _ in range(2):
        np.testing.assert_array_equal(_in_fork(lambda: _points(landmarker(*frame))), expected)
    twice = _in_fork(lambda: _in_fork(lambda: _points(landmarker(*frame))))
    np.testing.assert_array_equal(twice, expected)
    np.testing.assert_array_equal(_points(landmarker(*frame)), expected)


def test_fork_while_a_thread_runs_the_network(exported, frame):
    landmarker = Landmarker(exported("heatmaps")[2])
    expected = _points(landmarker(*frame))
    with landmarker._backend._model._lock:  # as another thread would hold it
        np.testing.assert_array_equal(_in_fork(lambda: _points(landmarker(*frame))), expected)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_give_the_same_landmarks(method, exported, frame):
    path = exported("plain")[2]
    landmarker = Landmarker(
        path, flip=True, passes=2, scheme_map=find_scheme_map("ibug_68", "cofw_29")
    )
    expected = _points(landmarker(*frame))
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.starmap_async(landmarker, [frame] * 3, chunksize=1).get(TIMEOUT_S)
    for faces in results:
        np.testing.assert_array_equal(_points(faces), expected)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_are_equal_and_independent(duplicate, exported, frame, tmp_path, monkeypatch):
    monkeypatch.chdir(exported("plain")[2].parent)
    landmarker = Landmarker("model.tflite", detector=HaarDetector(min_size=0.2), num_threads=1)
    assert landmarker.detect(frame[0]).shape == (0, 4)  # the detector is loaded
    landmarker.passes = 2
    monkeypatch.chdir(tmp_path)
    twin = duplicate(landmarker)
    assert len(pickle.dumps(landmarker)) < 20_000  # without the network
    assert (twin.spec, twin.passes, twin.detector.min_size) == (landmarker.spec, 2, 0.2)
    np.testing.assert_array_equal(twin.detect(frame[0]), landmarker.detect(frame[0]))
    np.testing.assert_array_equal(_points(twin(*frame)), _points(landmarker(*frame)))
    twin.passes = 1
    assert landmarker.passes == 2


def test_shallow_copies_share_the_network(exported, frame):
    landmarker = Landmarker(exported("plain")[2])
    twin = copy.copy(landmarker)
    assert twin._backend is landmarker._backend


def test_changed_and_missing_files_are_refused(exported, frame, tmp_path):
    path = shutil.copy(exported("plain")[2], tmp_path / "model.tflite")
    pickled = pickle.dumps(Landmarker(path))
    shutil.copy(exported("heatmaps")[2], path)
    with pytest.raises(ValueError, match="model.tflite has changed since .* Make the landmarker"):
        pickle.loads(pickled)(*frame)
    path.unlink()
    with pytest.raises(ValueError, match="Cannot read .*model.tflite of a pickled landmarker: No"):
        pickle.loads(pickled)(*frame)


def test_callers_of_a_pool_get_the_error_of_a_changed_file(exported, frame, tmp_path):
    """If a process raised it while it unpickles its task, the caller would wait forever."""
    path = shutil.copy(exported("plain")[2], tmp_path / "model.tflite")
    landmarker = Landmarker(path)
    shutil.copy(exported("heatmaps")[2], path)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.starmap_async(landmarker, [frame])
        with pytest.raises(ValueError, match="model.tflite has changed since"):
            found.get(TIMEOUT_S)


def test_keras_files_are_opened_again_and_models_in_memory_refused(exported, frame, tmp_path):
    network, spec, _ = exported("plain")
    save_network(network, tmp_path / "model.keras", spec)
    landmarker = Landmarker(tmp_path / "model.keras")
    expected = _points(landmarker(*frame))
    twin = pickle.loads(pickle.dumps(landmarker))
    np.testing.assert_array_equal(_points(twin(*frame)), expected)
    in_memory = Landmarker(network, spec=spec)
    for duplicate in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="is in memory. Save it by .*save_network and pass"):
            duplicate(in_memory)
    network.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="model.keras has changed since"):
        copy.deepcopy(landmarker)(*frame)


def test_keras_models_refuse_to_run_in_a_forked_process(exported, frame, tmp_path):
    network, spec, _ = exported("plain")
    save_network(network, tmp_path / "model.keras", spec)
    landmarker = Landmarker(network, spec=spec)

    def attempt():
        messages = []
        for run in (lambda: landmarker(*frame), lambda: Landmarker(tmp_path / "model.keras")):
            try:
                run()
            except RuntimeError as error:
                messages.append(str(error))
        return messages

    messages = _in_fork(attempt)
    assert len(messages) == 2
    assert all("forked after TensorFlow had started" in message for message in messages)


@pytest.mark.slow
def test_spawned_processes_open_keras_files(exported, frame, tmp_path):
    network, spec, _ = exported("plain")
    save_network(network, tmp_path / "model.keras", spec)
    landmarker = Landmarker(tmp_path / "model.keras")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.starmap_async(landmarker, [frame]).get(TIMEOUT_S)[0]
    np.testing.assert_allclose(_points(found), _points(landmarker(*frame)), atol=1e-4)
