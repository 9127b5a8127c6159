"""The auxiliary decoder is judged by the image's own means over cells, wherever the letterbox lies."""

import torch
import torch.nn.functional as F

from ushydra_lab.losses.reconstruction import thumbnail_error


def test_it_is_the_mean_absolute_error_against_the_area_means() -> None:
    x, thumbnail = torch.rand(3, 1, 48, 64), torch.rand(3, 1, 24, 32)
    expected = (F.avg_pool2d(x, 2) - thumbnail).abs().mean((1, 2, 3))
    torch.testing.assert_close(thumbnail_error(thumbnail, x, torch.ones_like(x, dtype=torch.bool)), expected)


def test_padding_is_not_counted_and_a_cell_counts_by_what_is_inside_of_it() -> None:
    inside = torch.zeros(1, 1, 48, 64, dtype=torch.bool)
    inside[..., 9:] = True  # half a cell of four pixels
    x, thumbnail = torch.rand(1, 1, 48, 64), torch.rand(1, 1, 24, 32)
    error = thumbnail_error(thumbnail, x, inside)
    filled = torch.where(inside, x, 9.0)
    torch.testing.assert_close(thumbnail_error(thumbnail, filled, inside), error)
    columns = torch.cat([(thumbnail[..., 4:5] - F.avg_pool2d(x[..., 9:10], (2, 1))).abs() * 0.5,
                         (thumbnail[..., 5:] - F.avg_pool2d(x[..., 10:], 2)).abs()], 3)  # fmt: skip
    torch.testing.assert_close(error, columns.sum((1, 2, 3)) / (24 * 27.5))
