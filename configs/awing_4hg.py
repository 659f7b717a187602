"""Adaptive Wing loss by the paper's recipe, on each of its data sets.

Paper: Wang, Bo and Li, Adaptive Wing Loss, ICCV 2019, section 7.3: four hourglasses at 256 px,
RMSprop 1e-4 (a tenth from epochs 80 and 160 of 240 on), weight decay 1e-5 as a gradient term,
rotation +-50 degrees, translation +-25 px, scale +-15 %, flips, blur, noise, occlusion.
# The paper is silent: batch size 8; the strength of blur, noise and occlusion; the heatmaps' sigma
(1.75 heatmap pixels, as the authors' published patch of 7 x 7). # Deviates from the paper: heatmaps
are drawn at sub-pixel positions, there at whole pixels; boxes of 300-W are landmark boxes times
1.15, not the data set's own. For CPUs there is awing_small_300w_cpu.py.

Published (none was run here):
  300w      inter-ocular NME 3.07 % on the full test set, 2.72 % common, 4.52 % challenge (table 3)
  300w_1hg  one hourglass: 3.18 %, 2.81 %, 4.72 % (table 12)
  wflw      inter-ocular NME 4.36 %, FR10 2.84 %, AUC10 .5719; with landmark boxes 4.21 %, 2.04 %,
            .5895 (table 1)
  cofw      inter-pupil NME 4.94 %, FR10 .99 % (table 2; its AUC10 of 64.40 is an erratum)
  aflw      NME over the face box 1.53 % full, 1.38 % frontal (table 9)
  lsp       human pose, 14 joints, no boundary, no loss map: PCK@.2, person-centric, 85.9 (table 8)
  lsp_mse   the same with the squared error: 81.8

Commands, for 300w:
  wing-train --config=configs/awing_4hg.py --workdir=RUN --config.data.path=RECORDS
and for example for wflw:
  wing-tfrecords write --source=wflw --root=WFLW --crop=awing_wflw --output=RECORDS
  wing-train --config=configs/awing_4hg.py:wflw --workdir=RUN --config.data.path=RECORDS
  wing-evaluate --model=RUN --data=RECORDS --protocol=wflw --output=REPORT
Records of cofw and aflw: --crop=awing. Protocols: cofw_interpupil, aflw_full, lsp_pck. Records of
lsp:
  wing-tfrecords write --source=lsp --root=LSP --occluded=keep --output=LSP
  wing-tfrecords write --source=lsp_extended --root=LSPET --output=LSPET
with --config.data.path=LSP,LSPET (the paper leaves occluded joints out of LSP-extended only).
"""

from wing_tf.training.config import choose, default_config

_POSE = {"crop_margin": 1.25, "data.cache": False, "loss.map": "",
         "model.boundary": False, "model.boundary_coordinates": False}  # fmt: skip
_VARIANTS = {
    "300w": {},
    "300w_1hg": {"model.num_stacks": 1, "model.boundary_coordinates": False},
    "wflw": {"crop_margin": 1.1, "data.cache": False},
    "cofw": {"crop_margin": 1.0, "normalizer": "inter_pupil"},
    "aflw": {"crop_margin": 1.0, "data.cache": False},
    "lsp": _POSE,
    "lsp_mse": _POSE | {"loss.name": "heatmap_mse"},
}


def get_config(variant="300w"):
    """Returns the config."""
    config = default_config()
    config.model.update(name="hourglass", input_size=256, num_stacks=4)
    config.heatmap.update(sigma=1.75, decoder="quarter")
    config.augment.update(
        flip=0.5, rotation_deg=50.0, scale=0.15, translation=0.1,
        blur=0.5, noise=0.05, occlusion=0.5,
    )  # fmt: skip
    config.loss.update(name="adaptive_wing", map="dilated")
    config.optimizer.update(name="rmsprop", learning_rate=1e-4, momentum=0.0, weight_decay=1e-5)
    config.schedule.update(name="piecewise", boundaries=(80, 160))
    config.batch_size = 8
    config.epochs = 240
    config.update_from_flattened_dict(choose(_VARIANTS, variant))
    return config
