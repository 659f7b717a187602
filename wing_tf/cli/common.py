"""Shared parts of the commands: help, one-line errors, environment."""

import contextlib
import io
import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import TextIO, cast

from absl import app, flags

from wing_tf.cli.native_logs import filter_native_logs
from wing_tf.utils.local_path import local_path
from wing_tf.utils.printable import PrintableStream, printable
from wing_tf.zoo import all_models, help_table


def run(
    main: Callable[..., None],
    module_name: str,
    *,
    commands: tuple[str, ...] = (),
    needs_command: bool = True,
) -> None:
    """Runs a command. Flags are parsed, and help is printed, before TensorFlow is imported.

    Wrong usage, bad input (ValueError, OSError, FloatingPointError, an error of TensorFlow or
    OpenCV) and too little memory end it with one line and status 1. Characters that control a
    terminal, as file names may hold, are printed as escapes.

    Args:
        main: The command's function; with ``commands`` it takes the one that was named.
        module_name: The module whose docstring and flags ``--help`` prints.
        commands: Words of which one must be given.
        needs_command: Whether one must be given.
    """
    # Training and data reading need TensorFlow, whatever backend Keras is configured for.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # TensorFlow turns oneDNN off where AVX-512 is missing; it is faster there, too.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if {"--help", "-help", "-h", "--helpshort"} & set(sys.argv[1:]):
        _print_help(module_name)
        return
    # File names may hold characters that the output's encoding lacks.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")

    def guarded(argv: list[str]) -> None:
        words = argv[1:]
        wrong = len(words) > 1 or not set(words) <= set(commands)
        if commands and (wrong or (needs_command and not words)):
            sys.exit(
                f"error: Name one of: {', '.join(commands)}. Received: "
                f"{printable(' '.join(words)) or None}. See --help."
            )
        if words and not commands:
            sys.exit(f"error: Unexpected argument: {printable(words[0])}. See --help.")
        filter_native_logs()
        try:
            _require_local_outputs()
            with (
                contextlib.redirect_stdout(cast(TextIO, PrintableStream(sys.stdout))),
                contextlib.redirect_stderr(cast(TextIO, PrintableStream(sys.stderr))),
            ):
                main(*words)
        except app.UsageError as error:
            sys.exit(f"error: {_one_line(error)} See --help.")
        except KeyboardInterrupt:
            sys.exit("stopped")
        except (ValueError, OSError, FloatingPointError) as error:
            sys.exit(f"error: {_one_line(error)}")
        except ImportError as error:
            if "pip install" not in str(error):
                raise
            sys.exit(f"error: {_one_line(error)}")
        except MemoryError as error:
            sys.exit(f"error: more memory is needed than there is. {_one_line(error)}".strip())
        except Exception as error:
            # Errors of TensorFlow and OpenCV, neither of which is imported here.
            if type(error).__module__.partition(".")[0] not in ("tensorflow", "cv2"):
                raise
            sys.exit(f"error: {_one_line(error)}")

    app.run(guarded, flags_parser=_parse_flags)


def _print_help(module_name: str) -> None:
    try:
        print(help_text(module_name), flush=True)
    except OSError as error:
        # Python would try again at its end to write what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # which `head` and pagers cause
            sys.exit(f"error: {error}")


def _require_local_outputs() -> None:
    """Raises ValueError if a flag names a remote output."""
    for name in ("output", "workdir"):
        path = flags.FLAGS[name].value if name in flags.FLAGS else None
        try:
            local_path(path or "")
        except ValueError as error:
            raise ValueError(f"--{name}: {error}") from None


def _with_home(argument: str) -> str:
    """Expands ~ behind = and commas, where shells leave it."""
    name, equals, value = argument.partition("=")
    if not name.startswith("-") or "~" not in value:
        return argument
    parts = (os.path.expanduser(part) if part[:1] == "~" else part for part in value.split(","))
    return name + equals + ",".join(parts)


def _parse_flags(argv: list[str]) -> list[str]:
    argv = [_with_home(argument) for argument in argv]
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        message = _one_line(error)
        if "command line flag 'config." in message and "config" in flags.FLAGS:
            message = f"--config.KEY=VALUE needs --config=FILE.py. {message}"
        sys.exit(f"error: {message} See --help.")
    except Exception as error:
        # Whatever a config file raises, and errors of ml_collections for a wrong --config.key.
        sys.exit(f"error: --config: {_place(error, argv)}{_one_line(error)}")


def _place(error: Exception, argv: list[str]) -> str:
    """Returns the line of the config file, among the arguments, that raised an error."""
    named = {argument.removeprefix("--config=").partition(":")[0] for argument in argv}
    frames = traceback.extract_tb(error.__traceback__)
    own = [f"{f.filename}, line {f.lineno}: " for f in frames if f.filename in named]
    return own[-1] if own else ""


def _one_line(error: BaseException) -> str:
    text = " ".join([str(error), *getattr(error, "__notes__", ())])
    if "Traceback (most recent call last)" in text:  # of a config file
        text = text.strip().splitlines()[-1].partition(": ")[2]
    text = re.sub(
        r"flag --(\w+)=None: Flag --\1 must have a value other than None", r"--\1 is required", text
    )
    text = re.sub(r"module '\w+_config' has no attribute", "The config file has no function", text)
    missing = re.search(r"Attempted \[[^]]*\]:\s+(.*?)\s+\[Errno 2\]", text)
    if missing:
        text = f"There is no file {missing[1]}."
    # ml_collections wraps its messages in the repr of another error.
    return printable(" ".join(text.replace("\\n", " ").replace("\\'", "'").split()))


def help_text(module_name: str) -> str:
    """Returns a command's docstring, its own flags with their defaults, and the named models."""
    lines = [(sys.modules[module_name].__doc__ or "").strip(), "", "Flags:"]
    names_model = False
    for flag in flags.FLAGS.get_key_flags_for_module(module_name):
        default = "" if flag.default in (None, "", False) else f" [{flag.default}]"
        lines.append(f"  --{flag.name}: {flag.help}{default}")
        names_model = names_model or flag.name in ("model", "init_from")
    if names_model:
        lines += ["", "Models by name:", help_table(all_models().values())]
    return "\n".join(lines)
