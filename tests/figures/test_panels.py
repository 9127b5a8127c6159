"""Panels show what they are given: frames, regions, outlines of label maps."""

import numpy as np

from ushydra_lab.figures.panels import sample_panel, stage_panel


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


def test_probabilities_have_one_labelled_scale_and_the_true_outlines_and_other_pictures_stay_grey() -> None:
    images, heat = np.random.default_rng(0).random((2, 1, 20, 30), dtype=np.float32)
    labels = np.zeros((1, 20, 30), np.int64)
    labels[0, 4:10, 5:12] = 1
    figure = stage_panel(images, None, {"truth": labels, "train: prob csp": heat * 0.3, "train: output": heat}, ["csp"])
    original, truth, probability, output, *bars = figure.axes
    for axis in (original, truth, output):
        assert axis.images[0].get_cmap().name == "gray"
    drawn = probability.images[0]
    assert drawn.get_clim() == (0, 1)
    np.testing.assert_array_equal(drawn.get_array(), heat[0] * np.float32(0.3))
    np.testing.assert_allclose(probability.collections[0].get_paths()[0].get_extents().extents, [5, 4, 12, 10])
    assert [bar.get_xlabel() for bar in bars if bar.axison] == ["probability (white: truth)"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["csp"]


def test_disagreement_lies_on_the_image_and_agreement_is_clear() -> None:
    images = np.full((1, 8, 8), 0.5, np.float32)
    wrong = np.zeros((1, 8, 8), np.float32)
    wrong[0, 1, 1], wrong[0, 5, 5] = -1, 0.75
    axis = stage_panel(images, None, {"disagreement": wrong}).axes[1]
    image, drawn = axis.images
    np.testing.assert_array_equal(image.get_array(), images[0])
    colours = drawn.cmap(drawn.norm(wrong[0]))
    assert colours[0, 0, 3] < 0.02
    assert colours[1, 1, 3] == 1
    assert 0.7 < colours[5, 5, 3] < 0.8
    assert colours[1, 1, 2] > 0.9 > colours[5, 5, 2]  # blue is missed, orange too much


def test_points_are_two_diameters_on_the_image_and_white_on_heatmaps() -> None:
    images = np.zeros((1, 20, 30), np.float32)
    points = np.array([[[3, 10], [27, 11], [15, 2], [14, 18]]], np.float32)
    figure = stage_panel(images, None, {"truth": points, "train: heatmap OFD": images})
    _, truth, heatmap, *_ = figure.axes
    for axis in (truth, heatmap):
        np.testing.assert_array_equal([line.get_xydata() for line in axis.lines], points.reshape(2, 2, 2))
    assert truth.lines[0].get_color() != truth.lines[1].get_color()
    assert {line.get_color() for line in heatmap.lines} == {"white"}


def test_diameters_are_named_in_their_colours() -> None:
    images, points = np.zeros((1, 20, 30), np.float32), np.ones((1, 4, 2), np.float32)
    for figure in (
        stage_panel(images, None, {"truth": points}, ["parenchyma"]),
        sample_panel([[("", images[0], None, {"truth": points})]], ["parenchyma"]),
    ):
        (legend,) = figure.legends
        drawn = [line.get_color() for line in figure.axes[-1].lines]
        assert [text.get_text()[:3] for text in legend.get_texts()] == ["OFD", "BPD"]
        assert [line.get_color() for line in legend.get_lines()] == drawn


def test_every_image_has_its_caption_above_its_first_picture() -> None:
    images = np.zeros((2, 20, 30), np.float32)
    boxes = np.tile(np.array([5.0, 6.0, 15.0, 12.0], np.float32), (2, 1))
    for roi_only, rows in ((False, [0, 2]), (True, [0, 1])):
        figure = stage_panel(images, boxes, {"a": images}, roi_only=roi_only, captions=["record 7", "record $3$"])
        first = [axis.get_title(loc="left") for axis in figure.axes[::2]]
        assert {row: title for row, title in enumerate(first) if title} == dict(
            zip(rows, ["record 7", "record $3$"], strict=True)
        )
        figure.draw_without_rendering()
        top = figure.axes[0]
        name, caption = top.title.get_window_extent(), top._left_title.get_window_extent()
        assert caption.y1 < name.y1 - 6, "the column's name stands above the caption"
