"""Wrong annotations on purpose: how well a loss bears them."""

import math

import tensorflow as tf

from wing_tf.landmarks import LandmarkScheme


class LabelNoise:
    """Moves some landmarks of each face, always the same ones to the same places.

    A function of the face's key and the seed: noise in the data set, not augmentation, which would
    draw anew each time a face is shown.

    Args:
        scheme: whose default normalizer gives the distance.
        fraction: how many landmarks are moved, 0 to 1 (each by chance); the paper's P.
        distance: how far, as a share of the normalizer's distance, in a random direction; its S.
        seed: of the noise.

    Raises:
        ValueError: if the scheme's default normalizer is no distance between landmarks.

    Reference:
        Wang, Bo and Li, Adaptive Wing Loss, ICCV 2019, section 10.4.2 and table 11.
    """

    def __init__(self, scheme: LandmarkScheme, *, fraction: float, distance: float, seed: int = 0):
        if scheme.default_normalizer not in scheme.normalizers:
            raise ValueError(
                f"Label noise is a share of a distance between landmarks; {scheme.name} is "
                f"normalized by {scheme.default_normalizer}."
            )
        self.scheme, self.fraction, self.distance, self.seed = scheme, fraction, distance, seed

    def __call__(self, face: dict) -> dict:
        """Returns a face of `wing_tf.data.read.parse_face` with moved landmarks.

        A face that misses a landmark which the distance is measured from stays as it is.
        """
        landmarks, present = face["landmarks_square_px"], face["visibility"] > 0
        groups = [list(g) for g in self.scheme.normalizers[self.scheme.default_normalizer]]
        left, right = (tf.reduce_mean(tf.gather(landmarks, g), axis=0) for g in groups)
        measured = tf.reduce_all(tf.gather(present, groups[0] + groups[1]))
        reach = tf.where(measured, self.distance * tf.norm(left - right), 0.0)
        number = tf.strings.to_hash_bucket_fast(face["key"], 2**31 - 1)
        draws = tf.random.stateless_uniform(
            [self.scheme.num_landmarks, 2], tf.stack([tf.constant(self.seed, tf.int64), number])
        )
        angle = 2 * math.pi * draws[:, 1]
        shift = reach * tf.stack([tf.cos(angle), tf.sin(angle)], axis=-1)
        moved = (draws[:, 0] < self.fraction) & present
        return {**face, "landmarks_square_px": landmarks + tf.where(moved[:, None], shift, 0.0)}
