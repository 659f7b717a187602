"""Faces keep their numbers, are found again, and are given up where nothing speaks for them."""

import dataclasses

import numpy as np
import pytest
from clips import RATE, TrueLandmarker, crossing_clip, motion, numbers_of, show, small_clip

from wing_tf.inference import Face, HaarDetector
from wing_tf.inference.track import Track, difference, is_within, overlap, signature_of
from wing_tf.inference.tracker import Tracker
from wing_tf.landmarks import find_scheme_map


def still_clip(frames=40, *, seed=0):
    return small_clip([motion(np.full(frames, 90.0)), motion(np.full(frames, 230.0))], seed=seed)


@pytest.mark.parametrize("turn_back", [False, True])
@pytest.mark.parametrize("seed", [0, 3])
def test_faces_that_meet_keep_their_numbers(seed, turn_back):
    clip = crossing_clip(seed=seed, turn_back=turn_back)
    assert max(clip.occluded_fraction(index)[0] for index in range(len(clip))) > 0.8
    landmarker = TrueLandmarker(clip)
    faces = show(Tracker(landmarker), landmarker)
    back, front = numbers_of(faces, clip)
    assert len(set(back)) == len(set(front)) == 1
    assert {back[0], front[0]} == {0, 1}
    assert len(front) == len(clip)
    assert len(back) > len(clip) // 2
    middle = int(np.argmax([clip.occluded_fraction(index)[0] for index in range(len(clip))]))
    assert [face.identity for face in faces[middle]] == front[:1]  # the hidden one isn't reported
    assert [face.identity for face in faces[-1]] == [0, 1]


def test_faces_of_a_frame_are_one_batch_and_the_detector_rests():
    landmarker = TrueLandmarker(still_clip(40))
    faces = show(Tracker(landmarker, detect_seconds=0.5), landmarker)
    assert all(len(found) == 2 for found in faces)
    assert landmarker.num_detections == 3  # at 0, 15 and 30 of 40 frames
    assert landmarker.batches == [2] * 40


def test_landmarks_are_smoothed_or_not():
    clip = still_clip(30)
    jitter = {}
    for smooth in (False, True):
        landmarker = TrueLandmarker(clip, noise_px=1.0)
        faces = show(Tracker(landmarker, smooth=smooth), landmarker)
        path = np.array([found[0].landmarks_px for found in faces])
        jitter[smooth] = np.abs(np.diff(path[10:], axis=0)).mean()
    assert jitter[False] == pytest.approx(2 / np.sqrt(np.pi), rel=0.1)  # of two draws
    assert jitter[True] < 0.5 * jitter[False]


def test_a_filter_can_be_chosen():
    landmarker = TrueLandmarker(still_clip(1))
    with pytest.raises(ValueError, match="`beta` must not be negative"):
        Tracker(landmarker, filter_options={"beta": -1.0})


def test_nonsense_is_lost_at_once_and_found_again():
    clip = still_clip(40)
    landmarker = TrueLandmarker(clip)
    tracker = Tracker(landmarker, detect_seconds=100)
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


def test_a_low_score_is_lost():
    landmarker = TrueLandmarker(still_clip(20))
    landmarker.score = 0.5
    tracker = Tracker(landmarker, lost_score=0.3)
    assert len(show(tracker, landmarker, frames=range(5))[-1]) == 2
    landmarker.score = 0.2
    assert show(tracker, landmarker, frames=range(5, 10)) == [[]] * 5


def test_what_the_detector_never_confirms_is_given_up_unless_scores_speak_for_it():
    for score, left in ((None, 0), (0.9, 2)):
        landmarker = TrueLandmarker(still_clip(40))
        landmarker.score = score
        tracker = Tracker(landmarker, detect_seconds=0.2, unseen_seconds=0.6)
        show(tracker, landmarker, frames=range(5))
        landmarker.detected[:] = False  # both turn to their sides, say
        faces = show(tracker, landmarker, frames=range(5, 40))
        assert len(faces[12]) == 2
        assert len(faces[-1]) == left


def test_a_flash_of_the_detector_is_no_face():
    clip = small_clip([motion(np.full(30, 90.0))])
    landmarker = TrueLandmarker(clip)
    tracker = Tracker(landmarker, detect_seconds=0.2)
    show(tracker, landmarker, frames=range(6))
    landmarker.false_boxes = np.array([[200.0, 60.0, 260.0, 120.0]])
    assert len(show(tracker, landmarker, frames=[6])[0]) == 1
    assert landmarker.batches[-1] == 1  # it was looked at
    landmarker.false_boxes = np.zeros((0, 4))
    faces = show(tracker, landmarker, frames=range(7, 30))
    assert {face.identity for found in faces for face in found} == {0}
    # Twice in a row it is one.
    landmarker = TrueLandmarker(clip)
    tracker = Tracker(landmarker, detect_seconds=0.2)
    landmarker.detected[:] = False
    assert show(tracker, landmarker, frames=range(6)) == [[]] * 6
    landmarker.detected[:] = True
    faces = show(tracker, landmarker, frames=range(6, 16))
    assert [face.identity for face in faces[-1]] == [0]
    assert faces[0] == []


def test_two_boxes_on_one_face_are_one_face():
    landmarker = TrueLandmarker(small_clip([motion(np.full(3, 90.0))]))
    landmarker.false_boxes = np.array([[50.0, 60.0, 150.0, 160.0]])
    faces = show(Tracker(landmarker), landmarker)
    assert [len(found) for found in faces] == [1, 1, 1]


def test_numbers_are_not_used_again():
    clip = small_clip([motion(np.linspace(90, 400, 30).tolist() + [400.0] * 40 + [120.0] * 10)])
    landmarker = TrueLandmarker(clip)
    tracker = Tracker(landmarker, hidden_seconds=1.0)
    faces = show(tracker, landmarker)
    numbers = [[face.identity for face in found] for found in faces]
    assert numbers[0] == [0]
    assert numbers[29] == []  # it has left the image
    assert numbers[-1] == [1]
    tracker.reset()
    assert tracker(clip.frame(79), 0.0)[0].identity == 2  # time may start again, too


def test_a_gap_in_time_forgets_where_faces_were():
    landmarker = TrueLandmarker(still_clip(3))
    tracker = Tracker(landmarker, hidden_seconds=1.0)
    image = landmarker.clip.frame(0)
    assert [face.identity for face in tracker(image, 0.0)] == [0, 1]
    assert [face.identity for face in tracker(image, 0.9)] == [0, 1]
    assert [face.identity for face in tracker(image, 5.0)] == [2, 3]


def test_uneven_times_and_few_frames_a_second():
    x = 60 + 60 * np.arange(60) / RATE  # .9 sizes a second
    landmarker = TrueLandmarker(small_clip([motion(x)]))
    faces = show(Tracker(landmarker), landmarker, frames=[0, 1, 7, 8, 20, 21, 26, 40, 41, 55])
    assert [[face.identity for face in found] for found in faces] == [[0]] * 10


def test_at_most_so_many_faces():
    landmarker = TrueLandmarker(still_clip(20))
    faces = show(Tracker(landmarker, max_faces=1), landmarker)
    assert [len(found) for found in faces] == [1] * 20
    assert {found[0].identity for found in faces} == {0}


def test_hidden_faces_take_no_place_of_those_that_are_followed():
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


def test_scores_that_are_not_known_speak_for_nothing():
    landmarker = TrueLandmarker(still_clip(5))
    landmarker.score = np.nan
    assert [len(found) for found in show(Tracker(landmarker), landmarker)] == [2] * 5


def flattened(face, scale):
    """A face whose landmarks are in a part of it, and of no face's shape."""
    middle = face.landmarks_px.mean(axis=0)
    moved = middle + (face.landmarks_px - middle) * [scale, 0.4 * scale]
    return dataclasses.replace(face, landmarks_px=moved)


@pytest.mark.parametrize("has_learnt", [False, True])
def test_a_face_that_went_astray_is_put_right(has_learnt):
    clip = small_clip([motion(np.full(6, 120.0))], seed=2)
    landmarker = TrueLandmarker(clip)
    tracker = Tracker(landmarker)
    show(tracker, landmarker, frames=range(5))
    (track,) = tracker._tracks
    track.face = flattened(track.face, 0.5)
    if has_learnt:
        track.signature = signature_of(clip.frame(5), track.face)
    tracker._detect(clip.frame(5), False)
    assert [t.identity for t in tracker._tracks] == [0]
    np.testing.assert_allclose(track.face.landmarks_px, clip.landmarks_px[5, 0], atol=2)


def test_a_neighbor_is_another_face_and_takes_over_no_number():
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
    assert 0.2 < overlap(known.face, new.face) < 0.4
    np.testing.assert_allclose(new.face.landmarks_px, clip.landmarks_px[5, 1], atol=2)


def test_who_looks_another_puts_nothing_right():
    clip = still_clip(2)
    image = clip.frame(0)
    one, other = (located(clip.landmarks_px[0, n]) for n in range(2))
    track = Track(flattened(one, 1.0), 0.0, 0.0, None, signature_of(image, one))
    assert track.is_put_right_by(one, signature_of(image, one))
    assert not track.is_put_right_by(one, 1 - signature_of(image, one))  # a negative
    track.face = one
    assert not track.is_put_right_by(other, track.signature)  # no better


def test_most_of_a_face_may_lie_within_another():
    points = still_clip(1).landmarks_px[0, 0]
    face, middle = located(points), points.mean(axis=0)
    half = located(middle + (points - middle) / 2)
    assert is_within(half, face)
    assert not is_within(face, half)
    assert is_within(located(half.landmarks_px + [15, 0]), face)
    assert not is_within(located(half.landmarks_px + [40, 0]), face)


def located(landmarks_px):
    return Face(landmarks_px, np.zeros(4), scheme=find_scheme_map("ibug_68", "celeba_5").source)


@pytest.mark.parametrize(("shift", "on_red"), [(45, True), (45, False), (75, True)])
def test_of_faces_that_touch_the_one_that_slides_onto_the_other_is_hidden(shift, on_red):
    """A red face, and a blue one beside it whose landmarks are on red, too, or where it is."""
    points = still_clip(1).landmarks_px[0, 0]
    red, blue = (
        Track(located(points + [move, 0]), 0.0, 0.0, None, np.tile(np.float64(color), (8, 8, 1)))
        for move, color in ((0, [1, 0, 0]), (shift, [0, 0, 1]))
    )
    image = np.zeros((240, 320, 3), np.uint8)
    image[..., 0] = 255
    if not on_red:
        image[:, int(points[:, 0].max()) :] = 0, 0, 255
    touching = shift == 45
    assert (
        0.02 < overlap(red.face, blue.face) < 0.4 if touching else not overlap(red.face, blue.face)
    )
    Tracker(TrueLandmarker(still_clip(1)))._part(red, blue, image)
    assert red.visible
    assert blue.visible == (not (on_red and touching))


def test_other_landmarks_by_a_map_are_followed_by_the_networks_own():
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


def test_looks_tell_faces_apart_and_not_frames():
    class Shown:
        def __init__(self, landmarks_px):
            self.landmarks_px = landmarks_px

    clip = still_clip(10)
    signatures = [
        [signature_of(clip.frame(i), Shown(clip.landmarks_px[i, n])) for i in (0, 9)]
        for n in range(2)
    ]
    same = max(difference(*pair) for pair in signatures)
    other = difference(signatures[0][0], signatures[1][0])
    assert same < 0.03 < 0.06 < other


def test_clear_errors():
    clip = still_clip(2)
    landmarker = TrueLandmarker(clip)
    tracker = Tracker(landmarker)
    image = clip.frame(0)
    tracker(image, 1.0)
    for time in (1.0, 0.5, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"`time_s` must go on: the last frame's was 1\.0"):
            tracker(image, time)
    with pytest.raises(ValueError, match=r"`image` must be uint8 RGB"):
        tracker(image[..., 0], 2.0)
    for options in ({"hidden_seconds": -1.0}, {"max_faces": 0}, {"detect_seconds": np.nan}):
        with pytest.raises(ValueError, match=f"`{next(iter(options))}` must"):
            Tracker(landmarker, **options)
    landmarker.detector = None
    with pytest.raises(ValueError, match="needs a landmarker with a detector"):
        Tracker(landmarker)
    landmarker.detector = HaarDetector()
    landmarker.detector.needs_name = True
    with pytest.raises(ValueError, match="needs the names of images"):
        Tracker(landmarker)
