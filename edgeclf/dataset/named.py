"""Data sets known by name. Their arrays are stored in the cache at their own size, so the libraries that bring them are
imported once and not each time.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from edgeclf.dataset.cache import array_writer, cache_folder, open_array
from edgeclf.dataset.contents import content_hash
from edgeclf.dataset.sources import Item, Listing
from edgeclf.errors import DataError, MissingExtraError
from edgeclf.progress import SILENT, Progress

_VERSION = 1

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], tuple[str, ...]]


@dataclass(frozen=True)
class NamedSet:
    """A data set known by name.

    Attributes:
        class_names: in the order of the loader's labels; empty: the digits of the labels themselves.
        load: gives `uint8[N, h, w]` or `uint8[N, h, w, 3]`, `int64[N]` and the split of each (empty: none of its own).
        files: what tf-keras' loader keeps in `~/.keras/datasets`; empty where nothing is downloaded.
        url: folder or file that the loader downloads from.
        megabytes: size of the download.
    """

    class_names: tuple[str, ...]
    load: Callable[[], Arrays]
    files: tuple[str, ...] = ()
    url: str = ""
    megabytes: int = 0


def list_named(name: str, progress: Progress = SILENT) -> Listing:
    """List a named set, downloading it the first time; a line of `progress` announces that.

    Raises:
        MissingExtraError: scikit-learn or tf-keras is not installed.
        DataError: the download failed; the message says where to put the file by hand.
    """
    named = NAMED[name]
    path = _array_path(name)
    stored = open_array(path)
    if stored is None:
        _store(name, named, path, progress)
        stored = open_array(path)
        if stored is None:
            raise DataError(f"{path}: was removed while it was used; run the command again")
    pixels, facts = stored
    splits: list[str] = facts["splits"]
    items = [
        Item(f"{name}/{number}", str(number), label, splits[number] if splits else None)
        for number, label in enumerate(facts["labels"])
    ]
    class_names = tuple(sorted(set(facts["labels"])))
    own = tuple(split for split in ("train", "test") if split in splits)
    return Listing(name, name, name, class_names, own, items, (), pixels, tuple(facts["contents"]))


def remove_named(name: str) -> None:
    """Remove a named set from the cache, since its pixels are not those that were stored; it is made again."""
    for path in (_array_path(name).with_suffix(".json"), _array_path(name)):
        path.unlink(missing_ok=True)


def _array_path(name: str) -> Path:
    return cache_folder() / "named" / f"{name}-{_VERSION}.npy"


def _store(name: str, named: NamedSet, path: Path, progress: Progress) -> None:
    images, labels, splits = _fetch(name, named, progress)
    names = named.class_names or tuple(str(number) for number in range(int(labels.max()) + 1))
    with array_writer(path, images.shape) as writer:
        writer.append(images)
        facts = {
            "labels": [names[label] for label in labels],
            "splits": list(splits),
            "contents": [content_hash(np.ascontiguousarray(image).data.cast("B")) for image in images],
        }
        writer.write_facts(facts)


def _fetch(name: str, named: NamedSet, progress: Progress) -> Arrays:
    if not named.files:
        return named.load()
    folder = Path.home() / ".keras" / "datasets"
    missing = [file for file in named.files if not (folder / file).is_file()]
    if missing:
        progress.info(f"{name}: downloading {named.megabytes} MB once from {named.url} to {folder}")
    quiet = io.StringIO()  # the loader draws its own bar on stdout, which belongs to the caller
    try:
        with contextlib.redirect_stdout(quiet):
            return named.load()
    except (MissingExtraError, KeyboardInterrupt):
        raise
    except Exception as error:  # the loader raises bare Exception when the network is away
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        places = " and ".join(str(folder / file) for file in missing or named.files)
        remedy = f"fetch {named.url} yourself and put it at {places}"
        raise DataError(f"{name}: could not be loaded ({reason}); {remedy}") from error


def _digits() -> Arrays:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("the data set 'digits'", "train", "scikit-learn") from error
    bunch = load_digits()
    # 17 grey levels, 0 to 16, spread over the range of a byte
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return images, bunch.target.astype(np.int64), ()


def _keras(name: str) -> Callable[[], Arrays]:
    def load() -> Arrays:
        try:
            from tf_keras import datasets
        except ImportError as error:
            raise MissingExtraError(f"the data set {name!r}", "train", "tf-keras") from error
        (train, train_labels), (test, test_labels) = getattr(datasets, name).load_data()
        images = np.concatenate([train, test]).astype(np.uint8, copy=False)
        labels = np.concatenate([train_labels, test_labels]).reshape(-1).astype(np.int64)
        return images, labels, ("train",) * len(train) + ("test",) * len(test)

    return load


_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_CIFAR100 = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest",
    "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard",
    "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid",
    "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine", "possum",
    "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper",
    "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone",
    "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf",
    "woman", "worm",
)  # fmt: skip
_FASHION_FILES = tuple(
    f"fashion-mnist/{part}-ubyte.gz"
    for part in ("train-labels-idx1", "train-images-idx3", "t10k-labels-idx1", "t10k-images-idx3")
)
_GOOGLE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_TORONTO = "https://www.cs.toronto.edu/~kriz/"

NAMED: Mapping[str, NamedSet] = MappingProxyType(
    {
        "digits": NamedSet((), _digits),
        "cifar10": NamedSet(
            _CIFAR10, _keras("cifar10"), ("cifar-10-batches-py.tar.gz",), f"{_TORONTO}cifar-10-python.tar.gz", 171
        ),
        "cifar100": NamedSet(
            _CIFAR100, _keras("cifar100"), ("cifar-100-python.tar.gz",), f"{_TORONTO}cifar-100-python.tar.gz", 169
        ),
        "mnist": NamedSet((), _keras("mnist"), ("mnist.npz",), f"{_GOOGLE}mnist.npz", 11),
        "fashion_mnist": NamedSet(_FASHION, _keras("fashion_mnist"), _FASHION_FILES, _GOOGLE, 31),
    }
)
