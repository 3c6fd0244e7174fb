"""A virtual environment with pinned packages, made once, for the scripts beside this file."""

import os
import pathlib
import subprocess
import sys
import venv
from importlib import metadata

FLAG = "--in-private-environment"


def ensure(name, pinned, make=True):
    """Returns if the running Python has exactly the `pinned` packages; else runs the script again in an environment that has.

    The environment is $XDG_CACHE_HOME/advect/NAME-py311 (or ~/.cache/advect/...); it is made if it is not there, unless `make` is false.
    """
    if sys.version_info < (3, 11):
        sys.exit(f"Python 3.11 or newer is needed for the pinned packages; this is {sys.version}")
    if has(pinned):
        if FLAG in sys.argv:
            sys.argv.remove(FLAG)
        return
    if FLAG in sys.argv:
        sys.exit("the private environment has other packages than the pinned ones; delete it")
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(cache) / "advect" / (name + "-py{0}{1}".format(*sys.version_info))
    python = folder / "bin" / "python"
    print(f"using the packages in {folder}", file=sys.stderr, flush=True)
    if not python.exists() and not make:
        sys.exit(f"there is no {folder}")
    if make:
        install(folder, python, pinned)
    script = os.path.abspath(sys.argv[0])
    os.execv(python, [str(python), script, *sys.argv[1:], FLAG])


def install(folder, python, pinned):
    if not python.exists():
        venv.create(folder, with_pip=True)
    requirements = [f"{package}=={version}" for package, version in pinned.items()]
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--only-binary=:all:", *requirements], check=True)


def has(pinned):
    """Whether the running Python has exactly these packages."""
    try:
        return all(metadata.version(package) == version for package, version in pinned.items())
    except metadata.PackageNotFoundError:
        return False
