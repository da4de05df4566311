"""Makes `tensorflow_gan.python.eval` importable, which the package's own `__init__` no longer allows.

`import tensorflow_gan` pulls in its estimators, but `tf.estimator` is gone since TensorFlow 2.16, so the import fails.
The evaluation part, which published FIDs come from, does not need them. Three things make it work:

1. We first register empty packages `tensorflow_gan` and `tensorflow_gan.python` with the right `__path__`, so that
   Python finds `tensorflow_gan.python.eval` without running the two failing `__init__` files.
2. We set `TF_USE_LEGACY_KERAS=1` before TensorFlow is imported. TF-GAN flattens with `tf.compat.v1.layers`, which
   Keras 3 does not have. The setting takes effect through the package tf-keras.
3. setup.py asks for `setuptools<81`. tensorflow-hub 0.16 imports pkg_resources, which later versions removed.
"""

import importlib
import importlib.machinery
import importlib.util
import os
import sys
import types

from coltran.errors import UserError


def import_tfgan_eval() -> types.ModuleType:
    """Imports the module `tensorflow_gan.python.eval`.

    Raises:
      UserError: TF-GAN or a package that it needs is not installed.
    """
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    spec = importlib.util.find_spec("tensorflow_gan")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("TF-GAN is not installed: install the project with its extra 'eval' (pip install -e '.[eval]')")
    if "tensorflow_gan" not in sys.modules:
        folder = spec.submodule_search_locations[0]
        _register("tensorflow_gan", folder)
        _register("tensorflow_gan.python", os.path.join(folder, "python"))
    try:
        return importlib.import_module("tensorflow_gan.python.eval")
    except ImportError as error:
        raise UserError(
            f"TF-GAN's evaluation part does not import here ({error}): it needs tf-keras, tensorflow-hub, "
            "tensorflow-probability and setuptools<81; install the project with its extra 'eval'"
        ) from error


def _register(name: str, folder: str) -> None:
    package = types.ModuleType(name, "Stands in for a package whose __init__ fails on current TensorFlow.")
    package.__path__ = [folder]
    # find_spec looks at the __spec__ of each module in sys.modules, and raises ValueError if it is None.
    spec = importlib.machinery.ModuleSpec(name, loader=None, is_package=True)
    spec.submodule_search_locations = [folder]
    package.__spec__ = spec
    sys.modules[name] = package
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, package)
