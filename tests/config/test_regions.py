"""What may stand for regions of interest, and which of them is the main one."""

import math

import pytest

from ushydra_lab.config.regions import regions


@pytest.mark.parametrize(
    ("roi", "expected"),
    [
        ("nt_box", {"nt_box": 1.0}),
        (["palate_box", "nt_box"], {"palate_box": 1.0, "nt_box": 1.0}),
        ({"palate_box": 0.5, "nt_box": 2}, {"nt_box": 2.0, "palate_box": 0.5}),
        ({"palate_box": 1, "nt_box": 1}, {"nt_box": 1.0, "palate_box": 1.0}),
        ({"palate_box": 0, "nt_box": 1}, {"nt_box": 1.0, "palate_box": 0.0}),
    ],
)
def test_the_main_region_is_the_first_of_a_list_and_the_heaviest_of_a_mapping(roi, expected):
    assert list(regions(roi).items()) == list(expected.items())


@pytest.mark.parametrize(
    "roi",
    [[], {}, 5, [3], ["nt"], {"nt_box": 0}, {"nt_box": -1, "palate_box": 1}, {"nt_box": "1"}, {"nt_box": math.nan}],
)
def test_what_names_no_box_or_weighs_nothing_is_refused(roi):
    with pytest.raises(ValueError, match="NAME_box"):
        regions(roi)
