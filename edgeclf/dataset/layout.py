"""Finds at which level of a folder the classes lie: in it, below split folders, or below folders that wrap them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgeclf.dataset.folder_names import SPLIT_FOLDERS, is_date, names_unlabelled, split_role
from edgeclf.dataset.sources import display, reason_to_pass_over
from edgeclf.dataset.types import SPLITS, OddFile
from edgeclf.dataset.walking import Entries, FolderTree, describe_strays, fold_name
from edgeclf.errors import DataError

_DEEPEST = 6
Folder = os.DirEntry[str]


@dataclass
class Layout:
    """Where the classes of a folder lie.

    Attributes:
        top: the folder that holds the class or split folders.
        class_folders: each with its split; None where edgeclf is to split.
        splits: those that the folder has itself.
        strays: files where only folders are expected.
        odd: what was passed over.
        unsorted: folders of collected images without a class.
        notes: what was recognized by likeness or looked through, a line each.
    """

    top: str
    class_folders: list[tuple[Folder, str | None]] = field(default_factory=list)
    splits: tuple[str, ...] = ()
    strays: list[Folder] = field(default_factory=list)
    odd: list[OddFile] = field(default_factory=list)
    unsorted: list[Folder] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_layout(folder: str, tree: FolderTree) -> Layout:
    """Find where the classes of `folder` lie.

    Raises:
        DataError: classes and splits lie side by side, or folders look like splits whose names do not state which.
    """
    layout = Layout(folder)
    for _ in range(_DEEPEST):
        here = tree.entries(layout.top)
        layout.strays.extend(here.files)
        layout.odd.extend(here.odd)
        layout.unsorted.extend(here.unsorted)
        level = _Level(layout.top, here, tree)
        if roles := level.find_roles():
            _add_splits(layout, level, roles)
            break
        wrapped = _wrapped(here, tree)
        if wrapped is None:
            level.check_mixed()
            level.check_unnamed()
            layout.notes.extend(level.doubt_classes())
            layout.class_folders = [(entry, None) for entry in here.folders]
            break
        layout.top = wrapped.path
    if layout.top != folder:
        layout.notes.insert(0, f"{display(folder)}: the data lie in {display(layout.top)}, the only folder inside")
    return layout


def _wrapped(entries: Entries, tree: FolderTree) -> Folder | None:
    """Return the only folder, where that is no class: it holds folders, none of them named by a date, and no image."""
    if len(entries.folders) != 1:
        return None
    inside = tree.entries(entries.folders[0].path)
    if inside.images or not inside.folders or all(is_date(entry.name) for entry in inside.folders):
        return None
    return entries.folders[0]


def _add_splits(layout: Layout, level: _Level, roles: Mapping[str, str]) -> None:
    for entry in level.entries.folders:
        if entry.name not in roles:
            level.check_beside(entry, roles)
            layout.odd.append(OddFile(display(entry.path), "folder beside the splits; passed over"))
            continue
        inside = level.inside[entry.name]
        while (wrapped := _wrapped(inside, level.tree)) is not None:
            layout.odd.extend([*describe_strays(inside.files), *inside.odd])
            inside = level.tree.entries(wrapped.path)
            layout.notes.append(f"{display(entry.path)}: its classes lie in {display(wrapped.path)}")
        if inside.images and not inside.folders:
            raise _without_classes(entry)
        _Level(entry.path, inside, level.tree).check_mixed()
        layout.strays.extend(inside.files)
        layout.odd.extend(inside.odd)
        layout.unsorted.extend(inside.unsorted)
        layout.class_folders.extend((inner, roles[entry.name]) for inner in inside.folders)
    layout.splits = tuple(split for split in SPLITS if split in roles.values())
    if any(name.lower() not in SPLIT_FOLDERS for name in roles):
        taken = ", ".join(f"{display(name)}/ for {split}" for name, split in roles.items())
        layout.notes.append(f"{display(level.top)}: folders were taken for splits: {taken}")


class _Level:
    """One level of a folder, and what lies in each of its folders."""

    def __init__(self, top: str, entries: Entries, tree: FolderTree) -> None:
        self.top, self.entries, self.tree = top, entries, tree
        self.inside = {entry.name: _entries_or_empty(entry, tree) for entry in entries.folders}
        self._classes = {name: self._class_names(inside) for name, inside in self.inside.items()}
        self._flat = [name for name, inside in self.inside.items() if inside.images]
        self._nested = [name for name, classes in self._classes.items() if classes and name not in self._flat]

    def find_roles(self) -> dict[str, str]:
        """Return the split of each folder that is one; empty where the folders are classes.

        Raises:
            DataError: there is no training folder, or two for a split.
        """
        exact = {name: SPLIT_FOLDERS[name.lower()] for name in self.inside if name.lower() in SPLIT_FOLDERS}
        stated = {name: role for name in self.inside if (role := split_role(name)) is not None}
        roles = exact if self._are_splits(exact) else {}
        train = next((name for name in roles or self._nested if stated.get(name) == "train"), None)
        if train is None:
            self._check_missing_train(exact, stated)
            return {}
        if self._wraps_splits():
            return {}
        named = {name: role for name, role in stated.items() if name in self._nested}
        alike = {name: role for name, role in named.items() if self._coincide(train, name)}
        if not roles and len(set(named.values())) > 1 and len(named) == len(self._flat + self._nested):
            alike = named  # whatever they share: that is reported class by class
        if not roles and set(alike) == {train} and not self._is_alone(train, stated):
            return {}
        found = {**alike, **roles}
        found = {name: found[name] for name in self.inside if name in found}
        self._refuse_doubles(found)
        return found

    def check_mixed(self) -> None:
        """Raise DataError where a folder holds folders of the same names as lie beside it."""
        flat = {fold_name(entry): entry.name for entry in self.entries.folders if entry.name in self._flat}
        for name in self._nested:
            shared = sorted(self._classes[name] & flat.keys())
            if shared and 2 * len(shared) >= len(self._classes[name]):
                raise DataError(
                    f"{display(self.top)}: {display(flat[shared[0]])}/ lies beside {display(name)}/ and inside it, so "
                    "classes and splits are mixed; expected train/CLASS/ and test/CLASS/ alone, or CLASS/ alone"
                )

    def check_unnamed(self) -> None:
        """Raise DataError where folders look like splits by what they hold, or by their names alone."""
        roles = {split_role(name, alone=True) for name in self._flat + self._nested}
        if len(roles) > 1 and None not in roles and "train" in roles:
            raise DataError(
                f"{display(self.top)}: {_list([*self._flat, *self._nested])} look like splits, but {_list(self._flat)} "
                f"hold images without class folders; expected such as {display(self._flat[0])}/cat/1.jpg"
            )
        for name in [] if self._flat else self._nested:
            group = [other for other in self._nested if self._coincide(name, other, at_least=2)]
            if 2 * len(group) > len(self._nested) and len(group) > 1:
                raise DataError(
                    f"{display(self.top)}: {_list(group)} hold the same folders ({self._examples(name)}), so they look "
                    "like splits, but their names do not state which; name them train, validation and test, or, if "
                    "they are the classes, list the images in a CSV file (path,label)"
                )

    def doubt_classes(self) -> list[str]:
        """Describe folders of images among the classes whose names say that they are none."""
        if any(split_role(name) == "train" for name in self._flat):
            return []  # beside planes and ships, trains are a class
        doubtful = [name for name in self._flat if name.lower() in SPLIT_FOLDERS or names_unlabelled(name)]
        inside = [display(os.path.join(self.top, name)) for name in doubtful]
        return [f"{path}: is taken for a class; move it elsewhere if it is none" for path in inside]

    def check_beside(self, entry: Folder, roles: Mapping[str, str]) -> None:
        """Raise DataError where a folder beside the splits is a class or another split."""
        name, where = entry.name, f"{display(self.top)}: {display(entry.name)}/"
        train = next(split for split, role in roles.items() if role == "train")
        if any(fold_name(entry) in self._classes[split] for split in roles) and (name in self._flat + self._nested):
            raise DataError(
                f"{where} lies beside {_list(roles)}, which hold a class of this name; move its images into "
                f"{display(train)}/{display(name)}/"
            )
        if name in self._nested and self._coincide(train, name):
            raise DataError(
                f"{where} holds the same classes as {display(train)}/, but its name does not state which split it is; "
                "name it train, validation or test, or move it elsewhere"
            )
        if name in self._flat and split_role(name) is not None:
            raise _without_classes(entry)
        if name in self._flat and not names_unlabelled(name):
            raise DataError(
                f"{where} holds images and lies beside {_list(roles)}; if it is a class, move it into "
                f"{display(train)}/, else out of the folder"
            )

    def _are_splits(self, exact: Mapping[str, str]) -> bool:
        """Return whether folders named exactly like splits are some: `train` has no image of its own, or all are."""
        train = [name for name, split in exact.items() if split == "train"]
        if not train:
            return False
        if all(_holds_classes(self.inside[name]) for name in exact):
            return True
        return len(exact) == len(self.inside) and any(self.inside[name].folders for name in train)

    def _check_missing_train(self, exact: Mapping[str, str], stated: Mapping[str, str]) -> None:
        if exact and len(exact) == len(self.inside):
            named = all(_holds_classes(self.inside[name]) for name in exact)
        else:
            alike = all(self._coincide(self._nested[0], name) for name in self._nested)
            named = len(stated) == len(self.inside) == len(self._nested) > 1 and alike
        if named:
            raise DataError(
                f"{display(self.top)}: has {' and '.join(map(display, stated))}, but no train folder; to measure "
                f"a model on them, give {display(next(iter(stated)))}/ to bench with --split all"
            )

    def _wraps_splits(self) -> bool:
        """Return whether the only folder is no split, as its name states, but holds several."""
        if len(self.inside) != 1 or _wrapped(self.entries, self.tree) is None:
            return False
        only = self.entries.folders[0]
        return len(_Level(only.path, self.tree.entries(only.path), self.tree).find_roles()) > 1

    def _is_alone(self, train: str, stated: Mapping[str, str]) -> bool:
        """Return whether no other folder could be a class."""
        others = [name for name in self.inside if name != train and (self.inside[name].images or name in self._nested)]
        return all(name in stated or names_unlabelled(name) for name in others) and self._nested == [train]

    def _coincide(self, one: str, other: str, at_least: int = 1) -> bool:
        """Return whether two folders largely hold folders of the same names."""
        a, b = self._classes.get(one, set()), self._classes.get(other, set())
        shared = len(a & b)
        return shared >= at_least and 2 * shared >= (min if at_least == 1 else max)(len(a), len(b))

    def _class_names(self, inside: Entries) -> set[str]:
        while (wrapped := _wrapped(inside, self.tree)) is not None:
            inside = self.tree.entries(wrapped.path)
        names = {fold_name(entry) for entry in inside.folders}
        return set() if all(map(is_date, names)) else names

    def _examples(self, name: str) -> str:
        names = sorted(self._classes[name])
        return ", ".join(map(display, names[:3])) + (", ..." if len(names) > 3 else "")

    def _refuse_doubles(self, roles: Mapping[str, str]) -> None:
        owner: dict[str, str] = {}
        for name, split in roles.items():
            if split in owner:
                both = f"{display(owner[split])}/ and {display(name)}/"
                raise DataError(f"{display(self.top)}: {both} both stand for {split}; keep one")
            owner[split] = name


def check_strays(layout: Layout, images: int) -> None:
    """Raise DataError where so many images lie outside the class folders that the classes may be at another level.

    Args:
        layout: of the folder.
        images: number of those in class folders.
    """
    strays = [file for file in layout.strays if reason_to_pass_over(file.name) is None]
    if not images or len(strays) < 3 or 20 * len(strays) < images:
        return
    where = os.path.dirname(strays[0].path)
    raise DataError(
        f"{display(where)}: {len(strays)} images (such as {display(strays[0].name)}) lie beside the class folders, in "
        "none of them; move them into a folder of their class, or elsewhere"
    )


def _entries_or_empty(entry: Folder, tree: FolderTree) -> Entries:
    try:
        return tree.entries(entry.path)
    except DataError:  # reported when it is walked
        return Entries((), (), (), ())


def _without_classes(entry: Folder) -> DataError:
    return DataError(
        f"{display(entry.path)}: holds images, but no class folders; images without a class can be neither trained on "
        f"nor scored: sort them into a folder for each class, or move {display(entry.name)}/ elsewhere"
    )


def _holds_classes(inside: Entries) -> bool:
    return bool(inside.folders or not inside.files) and not inside.images


def _list(names: Sequence[str] | Mapping[str, object]) -> str:
    shown = [f"{display(name)}/" for name in names]
    if len(shown) > 4:
        shown = [*shown[:3], "..."]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)
