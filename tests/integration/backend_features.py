"""Prints, as JSON, which features of the losses work on the backend in KERAS_BACKEND.

`test_backends.py` runs this script and compares the answer with the table in docs/losses.md.
"""

import json
import sys
import warnings

import keras
import numpy as np
from keras import ops

from wing_tf.losses import (
    COORDINATE_LOSSES,
    CROSS_ENTROPY_LOSSES,
    HEATMAP_LOSSES,
    AdaptiveWingLoss,
    SubpixelResidualLoss,
    WeightedLossMap,
    WingLoss,
    adaptive_wing_loss,
    half_squared_error,
    wing_loss,
)

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.normal(size=(4, 3)).astype(np.float32)
PRESENT = np.ones((4, 5), np.float32)
PRESENT[0, 1] = PRESENT[3] = 0
LANDMARKS = GENERATOR.uniform(0, 64, (4, 5, 2)).astype(np.float32)
LANDMARKS_NAN = np.where(PRESENT[..., None] > 0, LANDMARKS, np.nan)
HEATMAPS = GENERATOR.uniform(0, 1, (4, 6, 3, 5)).astype(np.float32)
HEATMAPS_NAN = np.where(PRESENT[:, None, None] > 0, HEATMAPS, np.nan)


def _losses(**options):
    """Yields each loss with targets, the same with NaN, and predictions."""
    heatmaps = {name: loss(**options) for name, loss in HEATMAP_LOSSES.items()}
    heatmaps["weighted"] = WeightedLossMap(HEATMAP_LOSSES["bice"](), **options)
    coordinates = [loss(**options) for loss in COORDINATE_LOSSES.values()]
    for loss in [*coordinates, SubpixelResidualLoss(**options)]:
        yield loss, LANDMARKS, LANDMARKS_NAN, LANDMARKS[::-1].copy()
    for loss in heatmaps.values():
        yield loss, HEATMAPS, HEATMAPS_NAN, HEATMAPS[::-1].copy()


def _numpy(value):
    return ops.convert_to_numpy(value)


def _fit(loss, targets, weights=None, *, policy="float32", accumulation=None, **options):
    keras.utils.set_random_seed(0)
    shape = targets.shape[1:]
    dense = keras.layers.Dense(int(np.prod(shape)), dtype=policy)
    model = keras.Sequential([keras.Input((3,)), dense, keras.layers.Reshape(shape, dtype=policy)])
    optimizer = keras.optimizers.Adam(0.1, gradient_accumulation_steps=accumulation)
    model.compile(optimizer, loss=loss, **options)
    model.fit(IMAGES, targets, sample_weight=weights, batch_size=2, epochs=2, verbose=0)
    return model.get_weights()


def _train(**options):
    """Holds that NaN targets equal weights of landmarks, and weights of faces repeated ones."""
    faces = np.float32([1, 0, 2, 0.5])
    for loss, targets, targets_nan in (
        (WingLoss(), LANDMARKS, LANDMARKS_NAN),
        (WeightedLossMap(AdaptiveWingLoss()), HEATMAPS, HEATMAPS_NAN),
    ):
        trained = _fit(loss, targets_nan, **options)
        weighted = _fit(loss, targets, PRESENT, **options)
        _assert_equal(trained, weighted)
        assert not np.allclose(trained[0], _fit(loss, targets, **options)[0])
    _assert_equal(
        _fit(WingLoss(), LANDMARKS, faces, **options),
        _fit(WingLoss(), LANDMARKS, np.repeat(faces[:, None], 5, axis=1), **options),
    )


def _assert_equal(trained, expected):
    for a, b in zip(trained, expected, strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def _refused(error, call):
    try:
        call()
    except error:
        return
    raise AssertionError("was not refused")


def values():
    value = WingLoss()(np.zeros((1, 1, 2)), np.array([[[1.0, 15.0]]]))
    np.testing.assert_allclose(float(value), 13.486123, rtol=1e-6)
    value = AdaptiveWingLoss()(np.ones((1, 1, 1, 1)), np.full((1, 1, 1, 1), 0.75))
    np.testing.assert_allclose(float(value), 2.75678, rtol=1e-5)


def nan_targets():
    for reduction in ("sum_over_batch_size", "sum", "mean", "none", "mean_with_sample_weight"):
        for loss, targets, targets_nan, predictions in _losses(reduction=reduction):
            expected = loss(targets, predictions, sample_weight=PRESENT)
            np.testing.assert_array_equal(
                _numpy(loss(targets_nan, predictions)), _numpy(expected), err_msg=loss.name
            )
    for function, holes, whole in (
        (wing_loss, LANDMARKS_NAN, LANDMARKS),
        (half_squared_error, LANDMARKS_NAN, LANDMARKS),
        (adaptive_wing_loss, HEATMAPS_NAN, HEATMAPS),
    ):
        assert np.array_equal(_numpy(function(holes, whole + 1)) > 0, PRESENT > 0)


def nan_predictions():
    for loss, _, targets_nan, predictions in _losses():
        predictions[3, 0] = np.nan  # not annotated
        assert np.isnan(float(loss(targets_nan, predictions))), loss.name


def invalid_targets():
    for loss, targets, _, predictions in _losses():
        infinite = targets.copy()
        infinite[0, 1] = np.inf
        _refused(ValueError, lambda loss=loss, y=infinite, p=predictions: loss(y, p))
    for loss in CROSS_ENTROPY_LOSSES.values():
        _refused(ValueError, lambda loss=loss: loss()(255 * HEATMAPS, HEATMAPS))


def face_weights():
    faces = np.float32([1, 0, 2, 0.5])
    for loss, targets, _, predictions in _losses(reduction="none"):
        values = _numpy(loss(targets, predictions))
        for weights in (faces, faces[:, None], np.repeat(faces[:, None], 5, axis=1)):
            found = _numpy(loss(targets, predictions, sample_weight=weights))
            np.testing.assert_array_equal(found, values * faces[:, None])
        _refused(ValueError, lambda loss=loss, y=targets, p=predictions: loss(y, p, np.ones(5)))


def flat_coordinates():
    flat = LANDMARKS.reshape(4, 10)
    _assert_equal(_fit(WingLoss(), flat), _fit(WingLoss(), LANDMARKS))
    _assert_equal(_fit(WingLoss(), LANDMARKS_NAN.reshape(4, 10)), _fit(WingLoss(), LANDMARKS_NAN))
    _refused(ValueError, lambda: _fit(WingLoss(), LANDMARKS.reshape(4, 10)[:, :9]))


def normalized_targets():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _fit(WingLoss(), LANDMARKS / 64, run_eagerly=True)
    assert sum("look normalized" in str(warning.message) for warning in caught) == 1


def mirrored():
    import tensorflow as tf

    devices = tf.config.list_logical_devices("CPU")[:2]
    assert len(devices) == 2
    single = _fit(WingLoss(), LANDMARKS_NAN)
    with tf.distribute.MirroredStrategy([device.name for device in devices]).scope():
        for loss, targets, targets_nan in (
            (WingLoss(), LANDMARKS, LANDMARKS_NAN),
            (WeightedLossMap(AdaptiveWingLoss()), HEATMAPS, HEATMAPS_NAN),
        ):
            _assert_equal(_fit(loss, targets_nan), _fit(loss, targets, PRESENT))
        _assert_equal(single, _fit(WingLoss(), LANDMARKS_NAN))


FEATURES = {
    "Values of the papers": values,
    "NaN targets": nan_targets,
    "NaN predictions are seen": nan_predictions,
    "Invalid targets are refused (eager)": invalid_targets,
    "Weights per face and per landmark": face_weights,
    "Flat coordinates": flat_coordinates,
    "Normalized targets warn (eager)": normalized_targets,
    "`fit`": _train,
    "`run_eagerly=True`": lambda: _train(run_eagerly=True),
    "`jit_compile=True`": lambda: _train(jit_compile=True),
    "`mixed_float16`": lambda: _train(policy="mixed_float16"),
    "`mixed_bfloat16`": lambda: _train(policy="mixed_bfloat16"),
    "Gradient accumulation": lambda: _train(accumulation=2),
    "`MirroredStrategy`": mirrored,
}


def main() -> None:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
    answers = {}
    for name in sys.argv[1:] or FEATURES:
        if name == "`MirroredStrategy`" and keras.backend.backend() != "tensorflow":
            answers[name] = "no"
            continue
        try:
            FEATURES[name]()
            answers[name] = "yes"
        except Exception as error:
            answers[name] = f"{type(error).__name__}: {error}"[-3000:]
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
