"""What all commands share: help, errors as one line, and a Keras backend that fits."""

import io
import os
import pathlib
import sys
from collections.abc import Callable

from absl import app, flags


def run(
    main: Callable[..., None],
    module_name: str,
    *,
    commands: tuple[str, ...] = (),
    needs_command: bool = True,
) -> None:
    """Runs a command: flags are parsed, and help is given, before TensorFlow is imported.

    A bad input (ValueError, OSError, FloatingPointError, an error of TensorFlow's or OpenCV's) or
    too little memory ends it with one line and status 1.

    Args:
        main: does the work by the flags; with ``commands``, takes the one that was named.
        module_name: whose docstring and flags ``--help`` shows.
        commands: the words of which one must be given.
        needs_command: False where none of them is also good.
    """
    # The training and data parts are TensorFlow's, whatever backend Keras is set to.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow's own choice is without oneDNN where AVX-512 is missing: slower there, too.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if {"--help", "-help", "-h", "--helpshort"} & set(sys.argv[1:]):
        print(help_text(module_name))
        return
    # Names of files need not be text in the encoding of what is printed to.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # absl takes the usage text of its errors from here; with an entry point it would be empty.
    sys.modules["__main__"].__doc__ = sys.modules[module_name].__doc__

    def guarded(argv: list[str]) -> None:
        words = argv[1:]
        wrong = len(words) > 1 or not set(words) <= set(commands)
        if commands and (wrong or (needs_command and not words)):
            raise app.UsageError(f"Name one of: {', '.join(commands)}. Received: {words}.")
        if words and not commands:
            raise app.UsageError(f"Unexpected argument: {words[0]}")
        try:
            main(*words)
        except KeyboardInterrupt:
            sys.exit("stopped")
        except (ValueError, OSError, FloatingPointError) as error:
            sys.exit(f"error: {_one_line(error)}")
        except MemoryError as error:
            sys.exit(f"error: more memory is needed than there is. {_one_line(error)}".strip())
        except Exception as error:
            # Errors of TensorFlow and OpenCV are theirs; neither is imported here.
            if type(error).__module__.partition(".")[0] not in ("tensorflow", "cv2"):
                raise
            sys.exit(f"error: {_one_line(error)}")

    app.run(guarded, flags_parser=_parse_flags)


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(f"error: {_one_line(error)} See --help.")
    except (AttributeError, KeyError, TypeError, ValueError, OSError, ImportError) as error:
        # What ml_collections raises for a config file or a --config.key that is wrong.
        sys.exit(f"error: --config: {_one_line(error)}")


def _one_line(error: BaseException) -> str:
    # ml_collections wraps its messages in the repr of another error.
    return " ".join(str(error).replace("\\n", " ").replace("\\'", "'").split())


def help_text(module_name: str) -> str:
    """Returns a command's docstring and its own flags with their defaults."""
    lines = [(sys.modules[module_name].__doc__ or "").strip(), "", "Flags:"]
    for flag in flags.FLAGS.get_key_flags_for_module(module_name):
        default = "" if flag.default in (None, "", False) else f" [{flag.default}]"
        lines.append(f"  --{flag.name}: {flag.help}{default}")
    return "\n".join(lines)


def free_folder(path: str) -> pathlib.Path:
    """Returns a folder for output, which need not exist yet.

    Raises:
        ValueError: if it holds something already: nothing is overwritten.
    """
    folder = pathlib.Path(path)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} must be a new or an empty folder.")
    return folder


def new_folder(path: str) -> pathlib.Path:
    """Makes a folder for output; see `free_folder`."""
    folder = free_folder(path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
