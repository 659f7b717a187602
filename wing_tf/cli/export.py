"""Write a landmark model for other programs.

  wing-export --model=RUN --output=EXPORT

EXPORT gets model.tflite (LiteRT, built-in operations only; a uint8 face crop in, landmarks in its
pixels out) and contract.json (how the crop is cut, what the outputs are).
"""

from absl import flags

from wing_tf.cli import common

_MODEL = flags.DEFINE_string(
    "model", None, "A .keras file or a run folder (its best model).", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "The folder: new or empty.", required=True)


def main() -> None:
    """Exports by the flags."""
    output = common.new_folder(_OUTPUT.value)

    from wing_tf.export import export_litert
    from wing_tf.models.saving import load_network

    facts = export_litert(*load_network(_MODEL.value), output)
    size = (output / "model.tflite").stat().st_size
    shapes = ", ".join(f"{name} {shape}" for name, shape in facts["outputs"].items())
    print(f"{output / 'model.tflite'}: {size / 2**20:.1f} MiB, {shapes}")


def entry() -> None:
    """The console command."""
    common.run(main, __name__)


if __name__ == "__main__":
    entry()
