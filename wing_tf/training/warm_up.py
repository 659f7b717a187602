"""Warm-up of the learning rate."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="wing_tf")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Linear increase from 0 over ``warmup_steps``, then ``schedule`` from its start."""

    def __init__(
        self, schedule: keras.optimizers.schedules.LearningRateSchedule, warmup_steps: int
    ):
        super().__init__()
        self.schedule = schedule
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        """Returns the rate at a step."""
        step = ops.cast(step, "float32")
        after = self.schedule(ops.maximum(step - self.warmup_steps, 0.0))
        return after * ops.minimum((step + 1.0) / self.warmup_steps, 1.0)

    def get_config(self):
        """Returns the arguments of `from_config`."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "warmup_steps": self.warmup_steps}

    @classmethod
    def from_config(cls, config):
        """Rebuilds the inner schedule."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["warmup_steps"])
