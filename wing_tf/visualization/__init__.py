"""Drawing of landmarks and plots of scores."""

from wing_tf.visualization.draw import draw_landmarks, pose_axes
from wing_tf.visualization.sheets import contact_sheet

__all__ = ["contact_sheet", "draw_landmarks", "pose_axes"]
