"""Identities, lost faces and detection intervals of the tracker."""

import dataclasses

import numpy as np
import pytest
from clips import RATE, TrueLandmarker, crossing_clip, identities_of, motion, show, small_clip

from wing_tf.geometry import landmark_box
from wing_tf.inference import Face, HaarDetector
from wing_tf.inference.track import face_iou, is_within
from wing_tf.inference.tracker import Tracker
from wing_tf.landmarks import find_scheme_map


def still_clip(frames=40, *, seed=0):
    return small_clip([motion(np.full(frames, 90.0)), motion(np.full(frames, 230.0))], seed=seed)


@pytest.mark.parametrize("turn_back", [False, True])
@pytest.mark.parametrize("seed", [0, 3])
def test_identities_are_kept_through_occlusion(seed, turn_back):
    clip = crossing_clip(seed=seed, turn_back=turn_back)
    assert max(clip.occluded_fraction(index)[0] for index in range(len(clip))) > 0.8
    landmarker = TrueLandmarker(clip)
    faces = show(Tracker(landmarker), landmarker)
    back, front = identities_of(faces, clip)
    assert len(set(back)) == len(set(front)) == 1
    assert {back[0], front[0]} == {0, 1}
    assert len(front) == len(clip)
    assert len(back) > len(clip) // 2
    middle = int(np.argmax([clip.occluded_fraction(index)[0] for index in range(len(clip))]))
    assert [face.identity for face in faces[middle]] == front[:1]  # without the occluded one
    assert [face.identity for face in faces[-1]] == [0, 1]


def test_faces_are_one_batch_and_the_detector_runs_periodically():
    landmarker = TrueLandmarker(still_clip(40))
    faces = show(Tracker(landmarker, detect_every_s=0.5), landmarker)
    assert all(len(found) == 2 for found in faces)
    assert landmarker.num_detections == 3  # at 0, 15 and 30 of 40 frames
    assert landmarker.batches == [2] * 40


def test_faces_are_cropped_in_boxes_as_in_training():
    clip = still_clip(12)
    landmarker = TrueLandmarker(clip, noise_px=0.0)
    around = (-0.8, -1.2, 0.8, 0.6)  # of the tight landmark box
    landmarker.spec = dataclasses.replace(
        landmarker.spec, trained_boxes=["dataset"], box_around_landmarks=around
    )
    cropped, crop = [], landmarker.crop
    landmarker.crop = lambda image, boxes: cropped.append(boxes) or crop(image, boxes)
    faces = show(Tracker(landmarker, smooth=False, detect_every_s=0.2), landmarker)
    assert [[face.identity for face in found] for found in faces] == [[0, 1]] * 12
    low, high = np.split(landmark_box(clip.landmarks_px[-1]), 2, axis=1)
    side = np.max(high - low, axis=1, keepdims=True)
    expected = np.tile((low + high) / 2, 2) + side * around
    found = np.concatenate(cropped[-2:])  # in any order; the faces are beside each other
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(expected, axis=0), atol=3)


def test_smoothing_reduces_jitter():
    clip = still_clip(30)
    jitter = {}
    for smooth in (False, True):
        landmarker = TrueLandmarker(clip, noise_px=1.0)
        faces = show(Tracker(landmarker, smooth=smooth), landmarker)
        path = np.array([found[0].landmarks_px for found in faces])
        jitter[smooth] = np.abs(np.diff(path[10:], axis=0)).mean()
    assert jitter[False] == pytest.approx(2 / np.sqrt(np.pi), rel=0.1)  # of two draws
    assert jitter[True] < 0.5 * jitter[False]


def test_filter_options_are_checked():
    landmarker = TrueLandmarker(still_clip(1))
    with pytest.raises(ValueError, match="`beta` must not be negative"):
        Tracker(landmarker, filter_options={"beta": -1.0})


def test_implausible_landmarks_are_lost_and_found_again_with_their_identity():
    clip = still_clip(40)
    landmarker = TrueLandmarker(clip)
    tracker = Tracker(landmarker, detect_every_s=100)
    assert len(show(tracker, landmarker, frames=range(10))[-1]) == 2
    assert landmarker.num_detections == 1
    landmarker.wrong[:] = True, False
    faces = show(tracker, landmarker, frames=range(10, 20))
    kept = {face.identity for found in faces for face in found}
    assert len(kept) == 1
    assert landmarker.num_detections >= 3  # it searches
    landmarker.wrong[:] = False
    faces = show(tracker, landmarker, frames=range(20, 30))
    assert [face.identity for face in faces[-1]] == [0, 1]  # as before


def test_faces_with_low_scores_are_lost():
    for min_score, scores in ((None, (0.3, 0.25)), (0.6, (0.6, 0.5))):
        landmarker = TrueLandmarker(still_clip(20), calibrated=True)
        tracker = Tracker(landmarker, min_score=min_score)  # of the calibration: .1
        landmarker.score = scores[0]
        faces = show(tracker, landmarker, frames=range(5))
        assert len(faces[-1]) == 2
        assert faces[-1][0].score == pytest.approx(1 / (1 + np.exp(5 - 10 * scores[0])))
        landmarker.score = scores[1]
        assert show(tracker, landmarker, frames=range(5, 10)) == [[]] * 5


def test_faces_without_scores_are_dropped_if_no_detection_confirms_them():
    for calibrated, left in ((False, 0), (True, 2)):
        landmarker = TrueLandmarker(still_clip(40), calibrated=calibrated)
        landmarker.score = 0.9
        tracker = Tracker(landmarker, detect_every_s=0.2, unconfirmed_s=0.6)
        show(tracker, landmarker, frames=range(5))
        landmarker.detected[:] = False
        faces = show(tracker, landmarker, frames=range(5, 40))
        assert len(faces[12]) == 2
        assert len(faces[-1]) == left


def test_new_faces_need_two_consecutive_detections():
    clip = small_clip([motion(np.full(30, 90.0))])
    landmarker = TrueLandmarker(clip)
    tracker = Tracker(landmarker, detect_every_s=0.2)
    show(tracker, landmarker, frames=range(6))
    landmarker.false_boxes = np.array([[200.0, 60.0, 260.0, 120.0]])
    assert len(show(tracker, landmarker, frames=[6])[0]) == 1
    assert landmarker.batches[-1] == 1  # it was looked at
    landmarker.false_boxes = np.zeros((0, 4))
    faces = show(tracker, landmarker, frames=range(7, 30))
    assert {face.identity for found in faces for face in found} == {0}
    # Twice in a row it is one.
    landmarker = TrueLandmarker(clip)
    tracker = Tracker(landmarker, detect_every_s=0.2)
    landmarker.detected[:] = False
    assert show(tracker, landmarker, frames=range(6)) == [[]] * 6
    landmarker.detected[:] = True
    faces = show(tracker, landmarker, frames=range(6, 16))
    assert [face.identity for face in faces[-1]] == [0]
    assert faces[0] == []


def test_two_detections_of_one_face_are_merged():
    landmarker = TrueLandmarker(small_clip([motion(np.full(3, 90.0))]))
    landmarker.false_boxes = np.array([[50.0, 60.0, 150.0, 160.0]])
    faces = show(Tracker(landmarker), landmarker)
    assert [len(found) for found in faces] == [1, 1, 1]


def test_identities_are_not_reused():
    clip = small_clip([motion(np.linspace(90, 400, 30).tolist() + [400.0] * 40 + [120.0] * 10)])
    landmarker = TrueLandmarker(clip)
    tracker = Tracker(landmarker, remember_s=1.0)
    faces = show(tracker, landmarker)
    numbers = [[face.identity for face in found] for found in faces]
    assert numbers[0] == [0]
    assert numbers[29] == []  # it has left the image
    assert numbers[-1] == [1]
    tracker.reset()
    assert tracker(clip.frame(79), 0.0)[0].identity == 2  # time may start again, too


def test_long_gap_in_time_restarts_tracking():
    landmarker = TrueLandmarker(still_clip(3))
    tracker = Tracker(landmarker, remember_s=1.0)
    image = landmarker.clip.frame(0)
    assert [face.identity for face in tracker(image, 0.0)] == [0, 1]
    assert [face.identity for face in tracker(image, 0.9)] == [0, 1]
    assert [face.identity for face in tracker(image, 5.0)] == [2, 3]


def test_identity_is_kept_at_uneven_and_low_frame_rates():
    x = 60 + 60 * np.arange(60) / RATE  # .9 sizes a second
    landmarker = TrueLandmarker(small_clip([motion(x)]))
    faces = show(Tracker(landmarker), landmarker, frames=[0, 1, 7, 8, 20, 21, 26, 40, 41, 55])
    assert [[face.identity for face in found] for found in faces] == [[0]] * 10


def test_max_faces_limits_the_tracked_faces():
    landmarker = TrueLandmarker(still_clip(20))
    faces = show(Tracker(landmarker, max_faces=1), landmarker)
    assert [len(found) for found in faces] == [1] * 20
    assert {found[0].identity for found in faces} == {0}


def test_lost_faces_do_not_count_for_max_faces():
    landmarker = TrueLandmarker(still_clip(40))
    tracker = Tracker(landmarker, max_faces=1)
    landmarker.detected[:] = True, False
    assert len(show(tracker, landmarker, frames=range(5))[-1]) == 1
    landmarker.wrong[:] = True, False
    landmarker.detected[:] = False, True
    faces = show(tracker, landmarker, frames=range(5, 15))
    assert [face.identity for face in faces[-1]] == [1]  # long before the first is forgotten
    landmarker.wrong[:] = False
    landmarker.detected[:] = True
    faces = show(tracker, landmarker, frames=range(15, 40))
    assert [[face.identity for face in found] for found in faces] == [[1]] * 25


def flattened(face, scale):
    """Returns a face with scaled and vertically compressed landmarks."""
    middle = face.landmarks_px.mean(axis=0)
    moved = middle + (face.landmarks_px - middle) * [scale, 0.4 * scale]
    return dataclasses.replace(face, landmarks_px=moved)


def test_drifted_landmarks_are_corrected_by_a_detection():
    clip = small_clip([motion(np.full(6, 120.0))], seed=2)
    landmarker = TrueLandmarker(clip)
    tracker = Tracker(landmarker)
    show(tracker, landmarker, frames=range(5))
    (track,) = tracker._tracks
    track.face = flattened(track.face, 0.5)
    tracker._detect(clip.frame(5), False)
    assert [t.identity for t in tracker._tracks] == [0]
    np.testing.assert_allclose(track.face.landmarks_px, clip.landmarks_px[5, 0], atol=2)


def test_overlapping_neighbor_is_a_new_face():
    clip = small_clip([motion(np.full(8, 90.0)), motion(np.full(8, 132.0))], seed=1)
    landmarker = TrueLandmarker(clip)
    tracker = Tracker(landmarker)
    landmarker.detected[:] = True, False
    show(tracker, landmarker, frames=range(5))
    (track,) = tracker._tracks
    track.face = astray = flattened(track.face, 1.0)
    landmarker.detected[:] = False, True
    landmarker.index = 5
    tracker._detect(clip.frame(5), False)
    assert track.face is astray
    known, new = tracker._tracks
    assert 0.2 < face_iou(known.face, new.face) < 0.4
    np.testing.assert_allclose(new.face.landmarks_px, clip.landmarks_px[5, 1], atol=2)


def test_is_within_compares_landmark_boxes():
    points = still_clip(1).landmarks_px[0, 0]
    face, middle = located(points), points.mean(axis=0)
    half = located(middle + (points - middle) / 2)
    assert is_within(half, face)
    assert not is_within(face, half)
    assert is_within(located(half.landmarks_px + [15, 0]), face)
    assert not is_within(located(half.landmarks_px + [40, 0]), face)


def located(landmarks_px):
    return Face(landmarks_px, np.zeros(4), scheme=find_scheme_map("ibug_68", "celeba_5").source)


def test_all_landmarks_of_the_network_are_tracked_with_a_scheme_map():
    clip = small_clip([motion(np.full(20, 120.0))])
    five = find_scheme_map("ibug_68", "celeba_5")
    landmarker = TrueLandmarker(clip, scheme_map=five)
    landmarker.score = 0.75
    tracker = Tracker(landmarker, smooth=False)
    faces = show(tracker, landmarker)
    assert tracker.scheme.name == "celeba_5"
    for index, (face,) in enumerate(faces):
        assert face.scheme.name == "celeba_5"
        assert face.scores.shape == (5,)
        np.testing.assert_allclose(face.landmarks_px, five(clip.landmarks_px[index, 0]), atol=1.2)
        assert np.ptp(face.box_xyxy_px[1::2]) == pytest.approx(70, abs=4)  # not that of five
    assert landmarker.scheme_map is five


def test_invalid_arguments_raise():
    clip = still_clip(2)
    landmarker = TrueLandmarker(clip)
    tracker = Tracker(landmarker)
    image = clip.frame(0)
    tracker(image, 1.0)
    for time in (1.0, 0.5, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"`time_s` must be strictly increasing: .* was 1\.0"):
            tracker(image, time)
    with pytest.raises(ValueError, match=r"`image` must be uint8 RGB"):
        tracker(image[..., 0], 2.0)
    for options in ({"remember_s": -1.0}, {"max_faces": 0}, {"detect_every_s": np.nan}):
        with pytest.raises(ValueError, match=f"`{next(iter(options))}` must"):
            Tracker(landmarker, **options)
    landmarker.detector = None
    with pytest.raises(ValueError, match="needs a landmarker with a detector"):
        Tracker(landmarker)
    landmarker.detector = HaarDetector()
    landmarker.detector.needs_name = True
    with pytest.raises(ValueError, match="needs the names of images"):
        Tracker(landmarker)
