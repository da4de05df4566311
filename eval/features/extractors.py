"""Defines the feature extractors, which all share one contract. They are the first of the three steps of an FID.

| name        | network                                   | its numbers                                              |
|-------------|-------------------------------------------|----------------------------------------------------------|
| `inception` | our engine, public weights of 2015-12-05  | comparable with published FID                            |
| `tfgan`     | TF-GAN's SavedModel through its own code  | comparable with published FID                            |
| `random`    | our engine, weights by rule from a seed   | only with each other; for tests and demonstrations       |
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from coltran import local_copies, storage
from coltran.errors import UserError
from coltran.quiet_tensorflow import import_tensorflow
from eval.features.inception_graph import FEATURE_DIMS, INPUT_SIZE
from eval.features.inception_weights import file_sha256, load_public, random_weights, weights_sha256
from eval.features.resize import HALFPIXEL, Resize, find_resize, resize_to_input

EXTRACTORS = ("inception", "tfgan", "random")
FRAMEWORKS = ("tensorflow", "jax")
RANDOM_NOTE = "random features: not comparable with published FID"
HALFPIXEL_NOTE = "halfpixel resize: comparable with pytorch-fid, not with the paper's TF-GAN numbers"
TFGAN_MODEL = "tensorflow/tfgan/eval/inception/1"

Engine = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """A network that turns images into features.

    Attributes:
      name: one of `EXTRACTORS`.
      weights_sha256: sha256 of the weights file, of the arrays for `random`, or of all files for a SavedModel.
      resize: name of the resize. An FID is only complete with this name.
      comparable: whether distances can be compared with the paper's.
      note: why they cannot, in words for the result and the screen; empty if they can.
      engine: the network, a function from uint8 [B, H, W, 3] to float32 [B, 2048].
      dims: length of a feature vector.
    """

    name: str
    weights_sha256: str
    resize: str
    comparable: bool
    note: str
    engine: Engine
    dims: int = FEATURE_DIMS

    def features(self, images_BxHxWx3: np.ndarray) -> np.ndarray:
        """Computes the features of a batch.

        Args:
          images_BxHxWx3: uint8, RGB, values 0..255, any size. This method resizes them to 299.

        Returns:
          float32 [B, 2048]; row i depends only on image i.

        Raises:
          UserError: the images have another dtype or shape (floats, grayscale, channels first).
        """
        images = np.asarray(images_BxHxWx3)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape[1:3]:
            raise UserError(
                f"expected images as uint8 [batch, height, width, 3], got {images.dtype} {list(images.shape)}"
            )
        if not len(images):
            return np.zeros((0, self.dims), np.float32)
        features = self.engine(images)
        if features.shape != (len(images), self.dims):
            raise UserError(
                f"the {self.name} network gave features of shape {features.shape}, expected {(len(images), self.dims)}"
            )
        return features


def load_extractor(
    name: str, weights: str | None = None, resize: str = "tf1", *, seed: int = 0, framework: str | None = None
) -> Extractor:
    """Loads a network. You can then call its `features` many times.

    Args:
      name: one of `EXTRACTORS`.
      weights: a path, local or gs://. For `inception` it is the public .pth file, and None looks in the cache folder.
        For `tfgan` it is the SavedModel's folder. For `random` it is None.
      resize: `tf1` as in the paper's tool, or `halfpixel` as in pytorch-fid.
      seed: seed of the weights of `random`.
      framework: `tensorflow`, the fastest on a CPU, or `jax`. None takes `jax` if it sees a GPU or TPU. `tfgan` ignores
        this.

    Raises:
      UserError: the name is unknown, or the weights are absent, damaged or not the public ones.
    """
    chosen = find_resize(resize)
    note = HALFPIXEL_NOTE if chosen is HALFPIXEL else ""
    match name:
        case "inception":
            tensors, sha256 = load_public(weights)
            engine = _inception_engine(tensors, chosen, framework)
        case "tfgan":
            engine, sha256 = _load_tfgan(weights, chosen)
        case "random":
            if weights is not None:
                raise UserError(f"the random extractor makes its own weights from a seed: leave out {weights}")
            tensors, note = random_weights(seed), RANDOM_NOTE
            engine, sha256 = _inception_engine(tensors, chosen, framework), weights_sha256(tensors)
        case _:
            raise UserError(f"unknown extractor {name!r}: expected one of {', '.join(EXTRACTORS)}")
    return Extractor(name=name, weights_sha256=sha256, resize=resize, comparable=not note, note=note, engine=engine)


def _inception_engine(tensors: dict[str, np.ndarray], resize: Resize, framework: str | None) -> Engine:
    if framework is None:
        import jax

        framework = "tensorflow" if jax.default_backend() == "cpu" else "jax"
    if framework == "jax":
        from eval.features.inception_jax import InceptionJax

        return InceptionJax(tensors, resize)
    if framework == "tensorflow":
        from eval.features.inception_tensorflow import InceptionTensorFlow

        return InceptionTensorFlow(tensors, resize)
    raise UserError(f"unknown framework {framework!r}: expected one of {', '.join(FRAMEWORKS)}")


def _load_tfgan(folder: str | None, resize: Resize) -> tuple[Engine, str]:
    if folder is None or not storage.exists(storage.join(folder, "saved_model.pb")):
        raise UserError(
            f"the tfgan extractor needs --weights FOLDER with the SavedModel {TFGAN_MODEL} (saved_model.pb and "
            f"variables/), unpacked from TF-Hub or Kaggle Models; "
            + (f"{folder} holds no saved_model.pb" if folder else "none was given")
        )
    from eval.features.tfgan_import import import_tfgan_eval

    tfgan = import_tfgan_eval()
    tf = import_tensorflow()

    local = local_copies.kept_folder(folder)
    classify = tfgan.classifier_fn_from_tfhub(local, tfgan.INCEPTION_FINAL_POOL, return_tensor=True)
    # TF-GAN's function loads the model at every call. Traced into a graph, it loads the model once.
    pool_3 = tf.function(classify, input_signature=[tf.TensorSpec([None, INPUT_SIZE, INPUT_SIZE, 3], tf.float32)])

    def engine(images: np.ndarray) -> np.ndarray:
        pixels = (resize_to_input(images, resize) - resize.center) / resize.center
        return pool_3(tf.constant(pixels.astype(np.float32))).numpy()

    return engine, _folder_sha256(local)


def _folder_sha256(folder: str) -> str:
    """Computes a sha256 over the sorted relative paths of all files. Each path is followed by the file's own sha256."""
    import hashlib

    digest = hashlib.sha256()
    for name, _ in storage.list_files(folder):
        digest.update(name.encode())
        digest.update(file_sha256(storage.join(folder, name)).encode())
    return digest.hexdigest()
