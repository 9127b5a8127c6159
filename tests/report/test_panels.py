"""Panels show what they are given: frames, regions, outlines of label maps."""

import numpy as np

from ushydra_lab.report.panels import stage_panel


def test_label_maps_are_outlines_on_the_image_in_the_colour_of_their_label() -> None:
    images = np.random.default_rng(0).random((2, 20, 30), dtype=np.float32)
    labels = np.zeros((2, 20, 30), np.uint8)
    labels[0, 4:10, 5:12], labels[0, 12:15, 20:25], labels[1] = 1, 2, 255
    figure = stage_panel(images, None, {"truth": labels, "prediction": labels.astype(np.int64)})
    original, truth, prediction, *second = figure.axes
    assert [axis.get_title() for axis in (original, truth, prediction)] == ["original", "truth", "prediction"]
    for axis in (truth, prediction):
        np.testing.assert_array_equal(axis.images[0].get_array(), images[0])
        extents = [line.get_paths()[0].get_extents().extents for line in axis.collections]
        np.testing.assert_allclose(extents, [[5, 4, 12, 10], [20, 12, 25, 15]])
        assert len({tuple(line.get_edgecolor()[0]) for line in axis.collections}) == 2
    assert not any(axis.collections for axis in (original, *second))


def test_without_whole_frames_only_regions_are_drawn() -> None:
    images = np.zeros((3, 20, 30), np.float32)
    boxes = np.tile(np.array([5.0, 6.0, 15.0, 12.0], np.float32), (3, 1))
    for axis in stage_panel(images, boxes, {"a": images}, roi_only=True).axes:
        assert axis.get_xlim() == (2, 18)
        assert axis.get_ylim() == (15, 3)
