"""Drawing landmarks and plotting scores."""

from wing_tf.visualization.draw import contact_sheet, draw_landmarks

__all__ = ["contact_sheet", "draw_landmarks"]
