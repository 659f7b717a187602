"""Learning-rate schedules whose speed is set during training."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="wing_tf")
class PacedSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning-rate schedule whose steps count ``pace`` times.

    Attributes:
        pace: Variable, 1 at first.
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule):
        super().__init__()
        self.schedule = schedule
        self.pace = keras.Variable(1.0, trainable=False, dtype="float32", name="pace")

    def __call__(self, step):
        """Returns the rate at a step."""
        return self.schedule(ops.cast(step, "float32") * ops.convert_to_tensor(self.pace))

    def get_config(self):
        """Returns the arguments of `from_config`."""
        return {"schedule": keras.saving.serialize_keras_object(self.schedule)}

    @classmethod
    def from_config(cls, config):
        """Rebuilds the inner schedule."""
        return cls(keras.saving.deserialize_keras_object(config["schedule"]))


def set_pace(optimizer: keras.optimizers.Optimizer, pace: float) -> None:
    """Sets the pace of an optimizer's `PacedSchedule`, possibly after a warm-up.

    Args:
        optimizer: With a schedule of `wing_tf.training.optimizer.make_schedule`; possibly inside of
            one with loss scaling.
        pace: Times that each step counts.
    """
    schedule = getattr(optimizer, "inner_optimizer", optimizer)._learning_rate
    if not isinstance(schedule, PacedSchedule):
        schedule = schedule.schedule
    schedule.pace.assign(pace)
