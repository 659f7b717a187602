"""Label noise: annotations that are displaced on purpose, to test the robustness of a loss."""

import math

import tensorflow as tf

from wing_tf.landmarks import LandmarkScheme


class LabelNoise:
    """Displaces some landmarks of each face.

    The displacements are a function of the face's key and the seed. They are noise of the data set
    and the same in every epoch, unlike augmentation.

    Args:
        scheme: Landmark scheme, whose default normalizer is the unit of ``distance``.
        fraction: Probability of displacing a landmark; the paper's P.
        distance: Length of the displacement as a fraction of the normalizer's distance, in a random
            direction; the paper's S.
        seed: Seed of the noise.

    Raises:
        ValueError: If the scheme's default normalizer is not a distance between landmarks.

    Reference:
        Wang, Bo and Li, Adaptive Wing Loss, ICCV 2019, section 10.4.2 and table 11.
    """

    def __init__(self, scheme: LandmarkScheme, *, fraction: float, distance: float, seed: int = 0):
        if scheme.default_normalizer not in scheme.normalizers:
            raise ValueError(
                "Label noise is a fraction of a distance between landmarks, but the default "
                f"normalizer of {scheme.name} is {scheme.default_normalizer!r}."
            )
        self.scheme, self.fraction, self.distance, self.seed = scheme, fraction, distance, seed

    def __call__(self, face: dict) -> dict:
        """Returns a face of `wing_tf.data.read.parse_face` with displaced landmarks.

        A face stays as it is if a landmark of the normalizer's distance is not annotated.
        """
        landmarks, present = face["landmarks_square_px"], face["visibility"] > 0
        groups = [list(g) for g in self.scheme.normalizers[self.scheme.default_normalizer]]
        left, right = (tf.reduce_mean(tf.gather(landmarks, g), axis=0) for g in groups)
        measurable = tf.reduce_all(tf.gather(present, groups[0] + groups[1]))
        length = tf.where(measurable, self.distance * tf.norm(left - right), 0.0)
        key_hash = tf.strings.to_hash_bucket_fast(face["key"], 2**31 - 1)
        draws = tf.random.stateless_uniform(
            [self.scheme.num_landmarks, 2], tf.stack([tf.constant(self.seed, tf.int64), key_hash])
        )
        angle = 2 * math.pi * draws[:, 1]
        shift = length * tf.stack([tf.cos(angle), tf.sin(angle)], axis=-1)
        moved = (draws[:, 0] < self.fraction) & present
        return {**face, "landmarks_square_px": landmarks + tf.where(moved[:, None], shift, 0.0)}
