"""Batches: every example once per epoch, decided by (folder, seed, step) alone, and arrays as networks read them."""

import numpy as np
import pytest

from coltran.errors import UserError
from coltran.images import colors
from coltran.records import folder as record_folder, schema
from coltran.training import inputs


@pytest.mark.parametrize(("count", "batch_size"), [(12, 4), (12, 5), (3, 8)])
def test_every_example_comes_once_per_epoch(count, batch_size):
    steps = -(-count * 4 // batch_size)
    order = np.concatenate([inputs.batch_indices(count, batch_size, 7, step) for step in range(steps)])
    epochs = [order[start : start + count] for start in range(0, 4 * count, count)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(count))
    assert len({tuple(epoch) for epoch in epochs}) > 1
    again = inputs.batch_indices(count, batch_size, 7, steps - 1)
    np.testing.assert_array_equal(again, order[-batch_size:])
    assert not np.array_equal(order, [inputs.batch_indices(count, 1, 8, step)[0] for step in range(len(order))])


def test_batches_hold_the_records_own_values(truth_folder):
    rows = list(record_folder.open_folder(str(truth_folder)).read())
    with inputs.Examples(str(truth_folder), "colorizer") as examples:
        batch = examples.batch(np.array([11, 3]))
        assert (len(examples), examples.side) == (12, 16)
    for place, index in enumerate((11, 3)):
        np.testing.assert_array_equal(batch["gray"][place], rows[index][schema.GRAY_LO])
        np.testing.assert_array_equal(batch["symbols"][place], rows[index][schema.COARSE_LO])

    with inputs.Examples(str(truth_folder), "color_upsampler") as examples:
        batch = examples.batch(np.array([5]))
    np.testing.assert_array_equal(batch["levels"][0], rows[5][schema.RGB_LO] >> 5)
    np.testing.assert_array_equal(batch["target"][0], rows[5][schema.RGB_LO])

    with inputs.Examples(str(truth_folder), "spatial_upsampler") as examples:
        assert examples.side == 32
        batch = examples.batch(np.array([5]))
    np.testing.assert_array_equal(batch["levels"][0][::2, 1::2], rows[5][schema.RGB_LO])
    np.testing.assert_array_equal(batch["target"][0], rows[5][schema.RGB_HI])


def test_prefetched_batches_start_anywhere(truth_folder):
    with inputs.Examples(str(truth_folder), "colorizer") as examples:
        whole = list(inputs.training_batches(examples, 5, 1, 0, 6))
        tail = list(inputs.training_batches(examples, 5, 1, 4, 6))
    for one, other in zip(whole[4:], tail, strict=True):
        np.testing.assert_array_equal(one["symbols"], other["symbols"])


def test_flips_mirror_half_of_the_images_wherever_training_begins(truth_folder):
    with inputs.Examples(str(truth_folder), "color_upsampler") as examples:
        plain = list(inputs.training_batches(examples, 6, 1, 0, 20))
        mirrored = list(inputs.training_batches(examples, 6, 1, 0, 20, flip=True))
        rows = np.array([1, 4])
        part = list(inputs.training_batches(examples, 6, 1, 7, 20, flip=True, rows=rows))
    count = 0
    for one, other in zip(plain, mirrored, strict=True):
        for name in one:
            for image, seen in zip(one[name], other[name], strict=True):
                same, turned = np.array_equal(image, seen), np.array_equal(image[:, ::-1], seen)
                assert same or turned
                count += turned
    assert 0.35 < count / (20 * 6 * 3) < 0.65
    for one, other in zip(mirrored[7:], part, strict=True):
        np.testing.assert_array_equal(one["target"][rows], other["target"])


def test_evaluation_reads_what_was_chosen_and_pads_the_last_batch(truth_folder):
    chosen = np.array([7, 2, 11, 0, 5])
    with inputs.Examples(str(truth_folder), "colorizer") as examples:
        want = examples.batch(chosen)["symbols"]
        batches = list(inputs.evaluation_batches(examples, chosen, 3))
        mine = list(inputs.evaluation_batches(examples, chosen, 3, rows=np.array([1, 2])))
    assert [count for _, count in batches] == [count for _, count in mine] == [3, 2]
    np.testing.assert_array_equal(np.concatenate([batch["symbols"][:count] for batch, count in batches]), want)
    assert batches[1][0]["symbols"].shape == batches[0][0]["symbols"].shape
    np.testing.assert_array_equal(
        [batch["symbols"] for batch, _ in mine], [batch["symbols"][1:] for batch, _ in batches]
    )


def test_entropy_of_the_coarse_colors(truth_folder):
    with inputs.Examples(str(truth_folder), "colorizer") as examples:
        entropy, count = inputs.coarse_entropy(examples, seed=0)
    rows = record_folder.open_folder(str(truth_folder)).read([schema.COARSE_LO])
    symbols = np.concatenate([row[schema.COARSE_LO].ravel() for row in rows])
    shares = np.unique(symbols, return_counts=True)[1] / symbols.size
    assert count == 12
    assert entropy == pytest.approx(-sum(p * np.log2(p) for p in shares))
    assert 0 < entropy < np.log2(colors.NUM_COARSE_COLORS)


def test_a_folder_of_another_kind_or_size_is_refused(truth_folder, colorized_folder, tmp_path):
    from coltran.networks import presets

    with pytest.raises(UserError, match="expected truth records"):
        inputs.Examples(str(colorized_folder), "colorizer")
    with pytest.raises(UserError, match="no such folder"):
        inputs.Examples(str(tmp_path / "missing"), "colorizer")
    config = presets.network_config("colorizer", "smoke", height=8, width=8)
    with (
        inputs.Examples(str(truth_folder), "colorizer") as examples,
        pytest.raises(UserError, match=r"takes 8x8 pixels, .* holds 16x16"),
    ):
        examples.check_size(config)
