"""Files become frames, and what is found in them goes back to the px of the file's frame."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushydra_lab.data.io.image import ImageProblem
from ushydra_lab.prediction.batches import Batches
from ushydra_lab.prediction.decode import frames, still
from ushydra_lab.prediction.frames import Frame, show
from ushydra_lab.prediction.inputs import read_input

from ..data.readers.layouts import BOX, CUT, nifti, region, scene, study, write


def all_frames(path: Path, **settings: object) -> list[Frame]:
    return [frame for item in read_input(path, **settings).items for frame in frames(item, lambda _: True)]


def test_a_dicom_region_is_cut_out_and_its_points_lie_in_the_whole_frame(tmp_path: Path) -> None:
    (frame,) = all_frames(write(tmp_path / "a.dcm", study()))
    np.testing.assert_array_equal(frame.grey, scene()[CUT])
    assert frame.spacing_from == "dicom_region"
    assert frame.pixel_mm == pytest.approx(0.2)
    assert (frame.frame, frame.region) == (None, 0)
    shown = show(frame, (64, 64))
    np.testing.assert_allclose(shown.points(np.array(shown.fit.content[:2])), BOX[:2])
    labels = np.ones((64, 64), np.uint8)
    assert shown.labels(labels).shape == scene().shape
    np.testing.assert_array_equal(shown.labels(labels)[CUT], 1)
    assert shown.labels(labels).sum() == frame.grey.size


def test_pixels_that_are_not_square_become_so_and_points_go_back_to_them(tmp_path: Path) -> None:
    made = study(SequenceOfUltrasoundRegions=[region(mm=(0.2, 0.4))])
    (frame,) = all_frames(write(tmp_path / "a.dcm", made))
    assert frame.grey.shape == (32, 80)
    assert frame.native_mm == pytest.approx((0.4, 0.2))
    assert frame.pixel_mm == pytest.approx(0.2)
    shown = show(frame, (32, 80))
    np.testing.assert_allclose(shown.points(np.array([80.0, 32.0])), [BOX[2] + 1, BOX[3] + 1])


def test_a_cine_s_frames_have_numbers_and_times_and_can_be_thinned_out(tmp_path: Path) -> None:
    movie = study(np.stack([scene(k) for k in range(5)]), FrameTime="40")
    write(tmp_path / "a.dcm", movie)
    (item,) = read_input(tmp_path).items
    found = list(frames(item, lambda index: index % 2 == 0))
    assert [frame.frame for frame in found] == [0, 2, 4]
    assert [frame.time_s for frame in found] == pytest.approx([0, 0.08, 0.16])
    np.testing.assert_array_equal(found[1].grey, scene(2)[CUT])


def test_without_any_spacing_the_argument_s_is_taken_and_the_file_s_own_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "own.dcm", study())
    write(tmp_path / "without.dcm", study(SequenceOfUltrasoundRegions=None))
    own, told = all_frames(tmp_path, pixel_mm=0.7)
    assert (own.spacing_from, told.spacing_from) == ("dicom_region", "argument")
    assert (own.pixel_mm, told.pixel_mm) == pytest.approx((0.2, 0.7))


def test_volumes_have_their_header_s_spacing_unless_it_is_that_of_a_picture(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20), np.uint8)
    (tmp_path / "known.nii").write_bytes(nifti(pixels, (0.3, 0.15)))
    (tmp_path / "lost.nii").write_bytes(nifti(pixels, (1.0, 1.0)))
    known, lost = all_frames(tmp_path)
    assert known.grey.shape == (24, 20)
    assert (known.spacing_from, known.pixel_mm) == ("volume_header", pytest.approx(0.15, rel=1e-6))
    assert (lost.spacing_from, lost.pixel_mm) == ("none", pytest.approx(np.nan, nan_ok=True))
    np.testing.assert_array_equal(lost.grey, pixels)


def test_a_video_s_frames_come_one_after_another_with_their_times(video: Callable[..., Path]) -> None:
    found = all_frames(video(6))
    assert [frame.frame for frame in found] == [0, 1, 2, 3, 4, 5]
    assert [frame.time_s for frame in found] == pytest.approx([k / 25 for k in range(6)])
    assert [int(np.median(frame.grey)) for frame in found] == [8 * k for k in range(6)]


def test_a_video_that_ends_in_the_middle_gives_the_frames_before(video: Callable[..., Path], tmp_path: Path) -> None:
    whole = video(60)
    (cut := tmp_path / "cut.avi").write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])
    found, problems = [], []
    for batch in Batches((32, 48), 4).of(read_input(cut).items):
        found += batch.shown
        problems += batch.problems
    assert 0 < len(found) < 60
    assert problems == [("cut.avi", f"ends after {len(found)} of 60 frames; copy it again")]
    with pytest.raises(ImageProblem, match="holds no frame"):
        all_frames(video(0, "none.avi"))
    (no_video := tmp_path / "no.mp4").write_bytes(b"nothing of the kind")
    with pytest.raises(ImageProblem, match="no video that FFmpeg can decode"):
        all_frames(no_video)


def test_which_frames_are_in_a_batch_depends_on_the_files_alone(video: Callable[..., Path]) -> None:
    folder = video(7).parent
    for name in ("a", "b", "c", "y", "z"):
        Image.new("L", (40, 30), 90).save(folder / f"{name}.png")
    items = read_input(folder).items
    whole = [
        (batch.key, [shown.frame.frame for _, shown in batch.shown]) for batch in Batches((32, 48), 2, 2).of(items)
    ]
    keys = [key for key, _ in whole]
    assert [numbers for _, numbers in whole] == [[None, None], [None], [0, 2], [4, 6], [], [None, None]]
    assert keys == sorted(keys)
    for done in range(len(keys) + 1):
        again = Batches((32, 48), 2, 2, set(keys[:done])).of(items)
        assert [(batch.key, [shown.frame.frame for _, shown in batch.shown]) for batch in again] == whole[done:]


def test_a_still_keeps_what_the_table_knows(tmp_path: Path) -> None:
    Image.new("L", (40, 30), 90).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("image,pixel_mm,crop_x1,crop_y1,crop_x2,crop_y2\na.png,0.3,10,0,30,30\n")
    (item,) = read_input(tmp_path / "t.csv").items
    shown = show(still(item), (30, 20))
    assert shown.frame.spacing_from == "csv"
    assert (shown.pixels == 90).all()
    np.testing.assert_allclose(shown.points(np.array([0.0, 0.0])), [10, 0])


def test_a_crop_or_box_that_leaves_the_image_is_a_problem_of_that_image(tmp_path: Path) -> None:
    Image.new("L", (40, 30), 90).save(tmp_path / "a.png")
    rows = ["a.png,100,100,200,200,,,,", "a.png,,,,,5,5,60,20", "a.png,2,2,38,28,5,5,20,20"]
    head = "image,crop_x1,crop_y1,crop_x2,crop_y2,nt_x1,nt_y1,nt_x2,nt_y2"
    (tmp_path / "t.csv").write_text("\n".join([head, *rows, ""]))
    (batch,) = Batches((32, 48), 4).of(read_input(tmp_path / "t.csv").items)
    assert len(batch.shown) == 1
    assert [reason[:22] for _, reason in batch.problems] == ["crop_box leaves the im", "nt_box leaves the imag"]
