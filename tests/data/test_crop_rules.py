import contextlib
import dataclasses

import numpy as np
import pytest

from tfrecords_tools.face_boxes import awing_box, face_box
from tfrecords_tools.sources import BadRecordError, Face, Ibug300WSource
from tfrecords_tools.synthetic import render_face
from wing_tf.data.crop_rules import CROP_RULES, CropRule, get_crop_rule
from wing_tf.geometry import box_iou, crop_square, landmark_box
from wing_tf.landmarks import find_scheme_map

LANDMARKS = np.array([[40.0, 50.0], [100.0, 60.0], [70.0, 130.0], [np.nan, np.nan]])
BOX = np.array([30.0, 20.0, 130.0, 160.0])


def _face(box=BOX, landmarks=LANDMARKS, image=None):
    image = np.zeros((200, 200, 3), np.uint8) if image is None else image
    return Face(image, landmarks, np.full(len(landmarks), 2), box)


@pytest.mark.parametrize("name", CROP_RULES)
def test_rules_round_trip_through_json(name):
    rule = get_crop_rule(name)
    assert CropRule.from_json(rule.to_json()) == rule
    assert rule.uses_ground_truth == (name == "awing_official_test")
    assert ("WIDENED WITH THE GROUND TRUTH" in str(rule)) == rule.uses_ground_truth


def test_margins_equal_those_of_public_systems():
    margins = {n: CROP_RULES[n].margin for n in ("hrnet", "pipnet", "spiga", "insightface")}
    assert margins == {"hrnet": 1.25, "pipnet": 1.1, "spiga": 1.6, "insightface": 1.5}
    assert [n for n, rule in CROP_RULES.items() if not rule.square] == ["pipnet"]
    assert CROP_RULES["awing_wflw"].margin == 1.1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("landmark_box", [40, 50, 100, 130]),
        ("hrnet", [40, 50, 100, 130]),  # the margin is applied by the network's crop
        ("dataset_box", BOX),
        ("dataset_or_landmark_box", BOX),
        # Padded by int(2.5) and int(3.5) px to 104 x 146: .64 * 250 = 160, center (80, 90).
        ("awing_official", [0, 10, 160, 170]),
    ],
)
def test_boxes_of_rules(name, expected):
    np.testing.assert_allclose(face_box(_face(), get_crop_rule(name)), expected)


def test_rules_without_dataset_box():
    rule = get_crop_rule("dataset_or_landmark_box")
    np.testing.assert_allclose(face_box(_face(box=None), rule), landmark_box(LANDMARKS))
    for name in ("dataset_box", "awing_official"):
        with pytest.raises(BadRecordError, match="needs the data set's box"):
            face_box(_face(box=None), get_crop_rule(name))


def test_crops_using_ground_truth_are_named_so():
    inside = awing_box(BOX, np.array([[80.0, 90.0]]))
    np.testing.assert_allclose(inside, awing_box(BOX))
    # A landmark at x = 161 is 81 px from the center, outside of the crop (80 px): all 200 px.
    near = awing_box(BOX, np.array([[161.0, 90.0]]))
    np.testing.assert_allclose(near, [-20, -10, 180, 190])
    # At 181 it is outside of these, too: 250 -> 240 ... until (101 / side + .5) * 450 <= 440, at
    # side 200 * 250 / 230 = 217.39 (101 / 217.39 + .5 = .9646; 434.1).
    far = awing_box(BOX, np.array([[181.0, 90.0]]))
    np.testing.assert_allclose(far[2] - far[0], 200 * 250 / 230)
    assert awing_box(BOX)[2] - awing_box(BOX)[0] == pytest.approx(160)


def test_detector_box_fits_the_face_or_raises():
    rendered = render_face(0, 3, size=256, wide_yaw_fraction=0.0, yaw_std_deg=1.0)
    face = _face(None, rendered.landmarks_px, rendered.image)
    rule = get_crop_rule("detector_box")
    box = face_box(face, rule)
    assert box_iou(box, crop_square(landmark_box(rendered.landmarks_px), 1.0)) > 0.5
    # A small face beside a large one.
    both = np.full((1280, 1280, 3), 128, np.uint8)
    both[:1024, :1024] = rendered.image.repeat(4, axis=0).repeat(4, axis=1)
    both[-256:, -256:] = rendered.image
    small = face_box(_face(None, rendered.landmarks_px + 1024, both), rule)
    np.testing.assert_allclose(small, box + 1024, atol=0.1 * (box[2] - box[0]))
    with pytest.raises(BadRecordError, match="does not find the face"):
        face_box(_face(), rule)


def test_detector_box_is_found_for_five_landmarks(real_faces):
    """Five landmarks on eyes, nose and mouth span half of the detected box."""
    to_five, rule = find_scheme_map("ibug_68", "celeba_5"), get_crop_rule("detector_box")
    source = Ibug300WSource(real_faces)
    found = []
    for item in [i for i in source.items() if i.split == "test_helen"][:6]:
        face = source.load(item)
        five = dataclasses.replace(
            face, landmarks_px=to_five(face.landmarks_px), visibility=np.full(5, 2)
        )
        with contextlib.suppress(BadRecordError):  # of profiles
            found.append((face_box(five, rule), face.landmarks_px))
    assert len(found) >= 4
    for box, landmarks in found:
        assert box_iou(box, crop_square(landmark_box(landmarks), 1.0)) > 0.5


def test_too_small_boxes_raise():
    row = np.array([[40.0, 50.0], [100.0, 50.0]])
    flat = landmark_box(row)
    np.testing.assert_array_equal(face_box(_face(None, row), get_crop_rule("landmark_box")), flat)
    # Stretched to a square, it would be a line of pixels.
    with pytest.raises(BadRecordError, match=r"smaller than 2 px: \[40.0, 50.0, 100.0, 50.0\]"):
        face_box(_face(None, row), get_crop_rule("pipnet"))
    speck = np.array([[40.0, 50.0], [41.5, 50.5]])
    for rule in ("landmark_box", "pipnet", "hrnet"):
        with pytest.raises(BadRecordError, match="the landmark box is smaller than 2 px"):
            face_box(_face(None, speck), get_crop_rule(rule))
    # Rules that do not use the landmark box accept it.
    np.testing.assert_array_equal(face_box(_face(BOX, speck), get_crop_rule("dataset_box")), BOX)


def test_invalid_rules_raise():
    with pytest.raises(ValueError, match="Did you mean 'hrnet'"):
        get_crop_rule("hrnett")
    with pytest.raises(ValueError, match="`box` must be one of"):
        CropRule(name="x", box="face")
    with pytest.raises(ValueError, match="`margin` must be in"):
        CropRule(name="x", box="landmark", margin=0.5)
    for text in ("[", "{}", '{"name": "x", "color": 1}'):
        with pytest.raises(ValueError, match="not a valid crop rule"):
            CropRule.from_json(text)
