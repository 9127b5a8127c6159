"""What predict says of images is what evaluate measures; what was killed goes on; nothing is overwritten."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab.commands import predict as command
from ushydra_lab.errors import UserError
from ushydra_lab.evaluation.external import evaluate
from ushydra_lab.files import read_json
from ushydra_lab.prediction import predict as prediction
from ushydra_lab.prediction.inputs import read_input
from ushydra_lab.prediction.members import load_ensemble
from ushydra_lab.prediction.predict import predict_to, predictions
from ushydra_lab.prediction.progress import Progress
from ushydra_lab.runs.run import Run


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a prediction but predict.json, which says how long it took."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != "predict.json"]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_labelled_images_are_predicted_as_they_are_evaluated_to_the_last_digit(
    run: Path, folder: Path, tmp_path: Path
) -> None:
    evaluated = evaluate(Run(run), ["data=manifest", f"data.path='{folder}/images.csv'"]) / "per_image.csv"
    predict_to(tmp_path / "out", load_ensemble([run]), read_input(folder / "images.csv"))
    expected, found = (pd.read_csv(file, dtype=str) for file in (evaluated, tmp_path / "out" / "predictions.csv"))
    assert found["image"].tolist() == pd.read_csv(folder / "images.csv")["image"].tolist()
    for column in ("ofd_px", "bpd_px", "hc_px", "ofd_mm", "bpd_mm", "hc_mm", "entropy", "ofd_spread_mm"):
        assert found[column].tolist() == expected[column].tolist(), column
    ends = found[[f"ofd_{k}_{axis}" for k in (1, 2) for axis in "xy"]].astype(float).to_numpy()
    lengths = np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1])
    np.testing.assert_allclose(lengths, found["ofd_px"].astype(float), atol=1e-4)


def test_a_folder_without_labels_has_no_mm_unless_the_spacing_is_told(run: Path, folder: Path, tmp_path: Path) -> None:
    ensemble = load_ensemble([run])
    plain, spaced = tmp_path / "plain", tmp_path / "spaced"
    predict_to(plain, ensemble, read_input(folder, "*.png"))
    predict_to(spaced, ensemble, read_input(folder, "*.png", pixel_mm=0.5))
    unknown, known = (pd.read_csv(out / "predictions.csv") for out in (plain, spaced))
    assert len(unknown) == 24
    assert unknown["ofd_mm"].isna().all()
    assert set(unknown["spacing_from"]) == {"none"}
    np.testing.assert_allclose(known["ofd_mm"], 0.5 * unknown["ofd_px"], rtol=1e-6)
    assert set(known["spacing_from"]) == {"argument"}
    assert len(list((plain / "overlays").rglob("*.jpg"))) == 24


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_a_prediction_that_is_killed_goes_on_and_ends_with_the_same_bytes(
    kind: str, run: Path, folder: Path, tmp_path: Path, video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble = load_ensemble([run])
    given = read_input(folder / "a" if kind == "folder" else video(13))
    whole = tmp_path / "whole"
    predict_to(whole, ensemble, given)
    note, notes = Progress.note, [0]

    def killed(*arguments: object) -> None:
        notes[0] += 1
        if notes[0] == 2:
            raise KeyboardInterrupt
        note(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Progress, "note", killed)
    with pytest.raises(KeyboardInterrupt):
        predict_to(tmp_path / "broken", ensemble, given)
    assert not (tmp_path / "broken" / "predictions.csv").exists()
    (tmp_path / "broken" / "overlays" / ".half.jpg.0123abcd").write_bytes(b"half")
    answered, answer = [0], prediction.predict_frames

    def counted(ensemble, batch):
        answered[0] += len(batch.shown)
        return answer(ensemble, batch)

    monkeypatch.setattr(prediction, "predict_frames", counted)
    done = predict_to(tmp_path / "broken", ensemble, given)
    assert content(tmp_path / "broken") == content(whole)
    assert 0 < answered[0] < done.frames, "what was done is not done again"
    assert predict_to(tmp_path / "broken", ensemble, given).again


def test_of_a_video_all_frames_are_predicted_or_each_nth(run: Path, tmp_path: Path, video: Callable[..., Path]) -> None:
    ensemble, given = load_ensemble([run]), read_input(video(5))
    for name, more, expected in (("all", [], [0, 1, 2, 3, 4]), ("second", [2], [0, 2, 4])):
        assert predict_to(tmp_path / name, ensemble, given, *more).frames == len(expected)
        assert pd.read_csv(tmp_path / name / "predictions.csv")["frame"].tolist() == expected
        assert [one.cells["frame"] for one in predictions(ensemble, given, *more)] == expected


def test_what_is_there_is_never_overwritten(run: Path, folder: Path, tmp_path: Path) -> None:
    ensemble, out = load_ensemble([run]), tmp_path / "out"
    predict_to(out, ensemble, read_input(folder / "a"))
    before = content(out)
    with pytest.raises(UserError, match=r"out: holds predictions of other images.*--out"):
        predict_to(out, ensemble, read_input(folder / "b"))
    (other := tmp_path / "other").mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"other: holds something else.*--out"):
        predict_to(other, ensemble, read_input(folder / "a"))
    assert content(out) == before
    assert [file.name for file in other.iterdir()] == ["notes.txt"]
    (other / "notes.txt").rename(other / "predict.json")
    with pytest.raises(UserError, match=r"predict\.json is damaged") as refused:
        predict_to(other, ensemble, read_input(folder / "a"))
    assert "remove" not in str(refused.value).lower(), "it may be anything of the user's"


def test_files_that_cannot_be_read_are_named_and_the_others_predicted(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images := tmp_path / "images").mkdir()
    Image.new("L", (40, 30), 90).save(images / "good.png")
    (images / "cut.png").write_bytes((images / "good.png").read_bytes()[:50])
    (images / "scan.avi").write_bytes(b"no video")
    (images / "notes.txt").write_text("ignored")
    out = tmp_path / "out"
    assert command.main([str(run), str(images), "--out", str(out)]) == 3
    assert pd.read_csv(out / "predictions.csv")["image"].tolist() == ["good.png"]
    problems = pd.read_csv(out / "problems.csv")
    assert problems["image"].tolist() == ["cut.png", "scan.avi"]
    assert "damaged or truncated" in problems["reason"][0]
    assert read_json(out / "predict.json")["ignored"] == {".txt": 1}
    assert "2 files were not read" in capsys.readouterr().out
    assert command.main([str(run), str(images), "--out", str(out)]) == 3, "also when it is asked again"


def test_how_many_frames_are_accepted_is_told_and_that_there_is_no_spacing(
    run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert command.main([str(run), str(folder / "a"), "--out", out]) == 0
    said = capsys.readouterr().out
    status = pd.read_csv(tmp_path / "out" / "predictions.csv")["status"]
    counts = ", ".join(f"{n} {word}" for word in ("accept", "review", "refuse") if (n := (status == word).sum()))
    assert f"(8 rows: {counts})" in said
    assert "8 of 8 files have no spacing: what is measured in mm is empty" in said
    assert "have no spacing" in (tmp_path / "out" / "index.html").read_text()
    command.main([str(run), str(folder / "a"), "--pixel-mm", "0.1", "--out", str(tmp_path / "spaced")])
    assert "no spacing" not in capsys.readouterr().out
    command.main([str(run), str(folder / "a"), "--out", out])
    assert f"Predicted before: {tmp_path / 'out' / 'index.html'} (8 rows: {counts})" in capsys.readouterr().out


def test_a_missing_input_is_bad_use(run: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main([str(run), "--out", str(tmp_path / "out")])
    assert refused.value.code == 2
    with pytest.raises(UserError, match="no such file or folder"):
        command.main([str(run), str(tmp_path / "nothing"), "--out", str(tmp_path / "out")])


def test_several_runs_answer_together_and_say_how_far_they_are_apart(run: Path, folder: Path, tmp_path: Path) -> None:
    twin = tmp_path / "runs" / "biometry_stage3" / "c" / "seed1001" / "twin"
    shutil.copytree(run, twin)
    alone = next(predictions(load_ensemble([run]), read_input(folder / "a")))
    twins = next(predictions(load_ensemble([run, twin]), read_input(folder / "a")))
    assert len(load_ensemble([run, run, run.parent]).members) == 1, "none answers twice"
    assert (alone["n_members"], twins["n_members"]) == (1, 2)
    assert alone["ofd_sd_px"] is None
    assert twins["ofd_sd_px"] == 0
    assert twins["ofd_px"] == pytest.approx(alone["ofd_px"], rel=1e-6)


def test_pages_and_tables_name_files_below_the_input_and_no_place(run: Path, folder: Path, tmp_path: Path) -> None:
    predict_to(tmp_path / "out", load_ensemble([run]), read_input(folder / "a"))
    page = (tmp_path / "out" / "index.html").read_text()
    assert "http" not in page
    assert 'src="overlays/0.jpg"' in page
    for name in ("index.html", "predictions.csv", "predict.json"):
        text = (tmp_path / "out" / name).read_text()
        assert str(folder) not in text
        assert str(run) not in text


def test_two_processes_do_not_predict_into_one_folder(run: Path, folder: Path, tmp_path: Path) -> None:
    ensemble, given, out = load_ensemble([run]), read_input(folder / "a"), tmp_path / "out"
    with Progress(out, "another").held(), pytest.raises(UserError, match="another process is predicting into it"):
        predict_to(out, ensemble, given)
    assert predict_to(out, ensemble, given).frames == len(given.items), "killed before it began, it is continued"


def test_a_folder_in_the_input_is_refused(run: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main([str(run), str(folder), "--out", str(folder / "a" / "out")])
    assert refused.value.code == 2
    assert "choose a folder beside it" in " ".join(capsys.readouterr().err.split())


def test_a_name_that_is_no_utf_8_is_predicted(run: Path, folder: Path, tmp_path: Path) -> None:
    (images := tmp_path / "images").mkdir()
    shutil.copy(folder / "a" / "0.png", images / os.fsdecode(b"M\xfcller.png"))
    (images / os.fsdecode(b"\xe9.png")).touch()
    predict_to(tmp_path / "out", load_ensemble([run]), read_input(images))
    assert pd.read_csv(tmp_path / "out" / "predictions.csv")["image"].tolist() == [r"M\udcfcller.png"]
    assert pd.read_csv(tmp_path / "out" / "problems.csv")["image"].tolist() == [r"\udce9.png"]
    assert 'src="overlays/M%FCller.jpg"' in (tmp_path / "out" / "index.html").read_text()
