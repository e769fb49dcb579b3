from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from edgeclf.dataset.splitting import (
    OWN_FRACTIONS,
    SPLIT_SEED,
    position,
    split_by_content,
    split_problems,
    validation_fractions,
)

CONTENTS = st.integers(0, 10_000).map(lambda number: f"{number:032x}")
IMAGES = st.lists(st.tuples(st.sampled_from("abc"), CONTENTS), min_size=1, max_size=80)


def split_all(images, **options):
    return split_by_content([label for label, _ in images], [content for _, content in images], **options)


def natural(content, fractions=OWN_FRACTIONS):
    below = 0.0
    for split, fraction in fractions[:-1]:
        below += fraction
        if position(content) < below:
            return split
    return fractions[-1][0]


def of_one_class(images):
    """The same images, each content under the first class it came with."""
    first = {}
    return [(first.setdefault(content, label), content) for label, content in images]


@given(IMAGES)
def test_equal_contents_share_a_split_also_across_classes(images):
    splits = defaultdict(set)
    for (_, content), split in zip(images, split_all(images), strict=True):
        splits[content].add(split)
    assert all(len(found) == 1 for found in splits.values())


@given(IMAGES, st.randoms())
def test_the_order_of_the_images_does_not_matter(images, random):
    by_image = dict(zip(images, split_all(images), strict=True))
    shuffled = list(images)
    random.shuffle(shuffled)
    assert dict(zip(shuffled, split_all(shuffled), strict=True)) == by_image


@given(IMAGES)
def test_a_class_of_three_different_images_has_one_in_each_split(images):
    images = of_one_class(images)
    splits = defaultdict(set)
    for (label, _), split in zip(images, split_all(images), strict=True):
        splits[label].add(split)
    for label, found in splits.items():
        different = len({content for own, content in images if own == label})
        assert len(found) == min(3, different)
        assert "train" in found


@given(IMAGES, IMAGES)
def test_adding_images_moves_only_what_was_on_loan(images, more):
    images, together = of_one_class(images), of_one_class(images + more)
    classes = dict.fromkeys(label for label, _ in images)
    sizes = {label: len({c for own, c in images if own == label}) for label in classes}
    before = dict(zip(images, split_all(images), strict=True))
    after = dict(zip(together, split_all(together), strict=True))
    order = [name for name, _ in OWN_FRACTIONS]
    lent_later = {
        label for (label, content), split in before.items() if order.index(split) > order.index(natural(content))
    }
    for image, split in before.items():
        if sizes[image[0]] < 3:
            continue
        if split == natural(image[1]):
            assert after[image] == split or (
                image[0] in lent_later and (split, after[image]) == ("train", "validation")
            )
        elif after[image] != split:
            # it may go only towards where its content puts it, so what was trained on is never tested later
            at, to, home = order.index(split), order.index(after[image]), order.index(natural(image[1]))
            assert at < to <= home or home <= to < at


def test_a_training_image_is_lent_where_an_earlier_split_had_lent_before():
    contents = [f"{number:032x}" for number in (1, 2, 8812)]
    assert [natural(content) for content in contents] == ["train", "test", "test"]
    assert split_by_content(["a"] * 3, contents) == ["train", "test", "validation"]
    added = f"{0:032x}"
    assert natural(added) == "train"
    assert split_by_content(["a"] * 4, [*contents, added]) == ["validation", "test", "test", "train"]


def test_a_training_image_is_lent_where_a_class_was_smaller_than_the_splits_are_many():
    first, second = (f"{number:032x}" for number in (0, 1))
    assert [natural(content) for content in (first, second)] == ["train", "train"]
    assert split_by_content(["a"], [first]) == split_by_content(["a"], [second]) == ["train"]
    assert sorted(split_by_content(["a"] * 2, [first, second])) == ["train", "validation"]


def test_a_class_is_cut_anew_where_one_of_its_images_comes_to_be_of_another_class():
    numbers = [number for number in range(100) if natural(f"{number:032x}") == "test"][:3]
    contents = sorted((f"{number:032x}" for number in numbers), key=position)
    assert split_by_content(["a"] * 3, contents) == ["test", "validation", "train"]
    assert split_by_content(["a"] * 3 + ["b"], [*contents, contents[2]]) == ["validation", "train", "test", "test"]


def test_the_fractions_are_met_on_many_images():
    contents = [f"{number:032x}" for number in range(20_000)]
    counts = Counter(split_by_content(["a"] * len(contents), contents))
    assert {name: round(count / len(contents), 2) for name, count in counts.items()} == dict(OWN_FRACTIONS)
    counts = Counter(split_by_content(["a"] * len(contents), contents, validation_fractions(len(contents))))
    assert round(counts["validation"] / len(contents), 2) == 0.10
    assert counts["test"] == 0


def test_the_seed_is_part_of_the_contract():
    # Another value would move photos between splits under everyone's models.
    assert SPLIT_SEED == 20240517
    # By hand: printf %s 20240517:0000...00 | b2sum -l 64, the 16 digits read as a fraction of 16**16.
    assert position("00" * 16) == 0xEC313B6E051AB278 / 16**16
    assert position("ff" * 16) == 0x32200DCFDFEE124E / 16**16
    assert position("00" * 16, 1) == 0xDB51940E7A419BB4 / 16**16


def test_another_seed_gives_another_split():
    contents = [f"{number:032x}" for number in range(200)]
    assert split_by_content(["a"] * 200, contents) != split_by_content(["a"] * 200, contents, seed=1)


def test_problems_name_the_class_and_the_splits():
    pairs = [("cat", "train"), ("cat", "test"), ("dog", "train")]
    assert split_problems(["cat", "dog", "eel"], ["train", "validation", "test"], pairs) == [
        "class 'cat' has no usable image in validation",
        "class 'dog' has no usable image in validation and test",
        "class 'eel' has no usable image",
    ]
