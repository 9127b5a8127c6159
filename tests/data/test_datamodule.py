import hashlib
from collections.abc import Callable
from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import torch
from lightning import LightningModule, Trainer
from PIL import Image
from torch import Tensor

from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.data.fields import missing
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.sampler import EpochSampler
from ushydra_lab.data.source import Source
from ushydra_lab.data.split import LeaveOneSiteOut, Official, Random
from ushydra_lab.errors import UserError
from ushydra_lab.geometry.letterbox import Letterbox

Write = Callable[..., pd.DataFrame]
CANVAS = (24, 48)


@pytest.fixture
def make(write_images: Write, tmp_path: Path) -> Callable[..., UltrasoundData]:
    """A data module of sites a, b and the held-out c; `change` edits the table before it is checked."""

    def build(
        change: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table,
        requires: tuple[str, ...] = ("nt_box",),
        write: bool = True,
        seed: int = 0,
        batch_size: int = 4,
    ) -> UltrasoundData:
        counts = {"a": 6, "b": 5, "c": 4}
        table = write_images(counts) if write else table_of(counts)
        manifest = check_manifest(Source(change(table), "m", tmp_path))
        split = LeaveOneSiteOut("c", 0.3)
        return UltrasoundData(manifest, split, seed, CANVAS, batch_size, requires, tmp_path / "cache")

    def table_of(counts: dict[str, int]) -> pd.DataFrame:
        kept = {path: path.read_bytes() for path in tmp_path.glob("*/*.png")}
        table = write_images(counts)
        for path, content in kept.items():
            path.write_bytes(content)
        return table

    return build


def batches(data: UltrasoundData, part: str) -> list[dict[str, Tensor]]:
    return list(data.part_loader(part))


def test_a_batch_is_what_the_contract_says(make: Callable[..., UltrasoundData]) -> None:
    data = make()
    batch = next(iter(data.train_dataloader()))
    shapes = {key: (tuple(values.shape), values.dtype) for key, values in batch.items()}
    assert shapes == {
        "image": ((4, 1, *CANVAS), torch.float32),
        "record": ((4,), torch.int64),
        "digest": ((4,), torch.int64),
        "site": ((4,), torch.int64),
        "content": ((4, 4), torch.float32),
        "native_px": ((4, 2), torch.float32),
        "nt_box": ((4, 4), torch.float32),
        "nt_mm": ((4,), torch.float32),
        "pixel_mm": ((4,), torch.float32),
    }
    assert batch["image"].min() >= 0
    assert 0.9 < batch["image"].max() <= 1


def test_every_value_of_a_batch_belongs_to_its_record(make: Callable[..., UltrasoundData]) -> None:
    data = make(lambda table: table.assign(nt_mm=[1 + 0.1 * i for i in range(len(table))]))
    letterbox = Letterbox.fit((30, 40), CANVAS)
    table = data.manifest.table
    for batch in [*data.train_dataloader(), *data.val_dataloader(), *data.test_dataloader()]:
        for i, record in enumerate(batch["record"].tolist()):
            row = table.loc[record]
            canvas = letterbox.apply_image(np.asarray(Image.open(row["image"])))
            np.testing.assert_allclose(batch["image"][i, 0], canvas / 255, atol=1e-7)
            box = letterbox.apply_box(row[["nt_x1", "nt_y1", "nt_x2", "nt_y2"]].to_numpy(float))
            np.testing.assert_allclose(batch["nt_box"][i], box, rtol=1e-6)
            assert data.manifest.sites[batch["site"][i]] == row["site"]
            assert batch["nt_mm"][i] == pytest.approx(row["nt_mm"])
            assert batch["pixel_mm"][i] == pytest.approx(0.1 / 0.8)
            assert tuple(batch["content"][i].tolist()) == letterbox.content


def test_every_image_is_in_exactly_one_part_and_the_split_table_says_which(
    make: Callable[..., UltrasoundData],
) -> None:
    data = make()
    table = data.split_table()
    assert list(table) == ["record", "image", "site", "subject", "part"]
    assert table["part"].value_counts().to_dict() == {"train": 8, "val": 3, "test": 4}
    for part in data.parts:
        records = torch.cat([batch["record"] for batch in batches(data, part)]).tolist()
        assert records == table["record"][table["part"] == part].tolist()
    trained = torch.cat([batch["record"] for batch in data.train_dataloader()]).tolist()
    assert sorted(trained) == table["record"][table["part"] == "train"].tolist()
    assert [len(loader.dataset) for loader in data.predict_dataloader()] == [8, 3, 4]


def test_groups_stand_in_the_split_table_and_in_no_batch(make: Callable[..., UltrasoundData]) -> None:
    data = make(lambda table: table.assign(group_machine=["GE", ""] * 7 + ["001"]))
    assert data.split_table()["group_machine"].tolist() == ["GE", ""] * 7 + ["001"]
    assert not any("group" in key for key in batches(data, "test")[0])
    assert data.fingerprint() == make().fingerprint()


def test_noise_in_place_of_the_held_out_images_changes_nothing_that_is_fitted_on(
    make: Callable[..., UltrasoundData], tmp_path: Path
) -> None:
    clean = make()
    before = {part: batches(clean, part) for part in ("train", "val", "test")}
    order = [batch["record"] for batch in clean.train_dataloader()]
    prints = clean.fingerprint(), clean.fingerprint(("test",))
    for index in range(4):
        noise = np.random.default_rng(100 + index).integers(0, 256, (55, 31), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"c/{index}.png")

    def poison(table: pd.DataFrame) -> pd.DataFrame:
        other = table.assign(nt_x1=1.0, nt_y1=1.0, nt_x2=9.0, nt_y2=9.0, nt_mm=3.0, pixel_mm=0.7)
        return other.where(table["site"] == "c", table)

    poisoned = make(poison, write=False)
    for part in ("train", "val"):
        for old, new in zip(before[part], batches(poisoned, part), strict=True):
            assert old.keys() == new.keys()
            assert all(torch.equal(old[key], new[key]) for key in old)
    assert all(torch.equal(old, new["record"]) for old, new in zip(order, poisoned.train_dataloader(), strict=True))
    assert poisoned.fingerprint() == prints[0]
    assert poisoned.fingerprint(("test",)) != prints[1]
    assert not torch.equal(before["test"][0]["image"], batches(poisoned, "test")[0]["image"])


def test_the_fingerprint_ignores_annotations_only_the_held_out_site_has(
    make: Callable[..., UltrasoundData],
) -> None:
    def without(table: pd.DataFrame) -> pd.DataFrame:
        return table.drop(columns="nt_mm")

    def only_unseen(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(nt_mm=table["nt_mm"].where(table["site"] == "c"))

    assert make(without).fingerprint() == make(only_unseen).fingerprint() != make().fingerprint()


@pytest.mark.parametrize("column", ["nt_x1", "nt_mm", "pixel_mm"])
def test_the_fingerprint_follows_what_is_trained_on(make: Callable[..., UltrasoundData], column: str) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(**{column: table[column].where(table.index != 0, 1.25)})

    assert make(change).fingerprint() != make().fingerprint()
    assert make(seed=1).fingerprint() != make().fingerprint()


def test_the_order_of_training_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochSampler(50, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert sorted(order(0, 0)) == list(range(50))
    assert order(3, 7) == order(3, 7)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


class Recorder(LightningModule):
    """Remembers the records it was trained on, by epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[int, list[int]] = {}

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        self.seen.setdefault(self.current_epoch, []).extend(batch["record"].tolist())
        return self.weight * batch["image"].mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_resumed_training_sees_what_the_uninterrupted_one_saw(
    make: Callable[..., UltrasoundData], tmp_path: Path
) -> None:
    def trainer(epochs: int) -> Trainer:
        silent = {
            "logger": False,
            "limit_val_batches": 0,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }
        return Trainer(max_epochs=epochs, accelerator="cpu", enable_checkpointing=False, **silent)

    whole, first, second = Recorder(), Recorder(), Recorder()
    trainer(4).fit(whole, datamodule=make())
    interrupted = trainer(2)
    interrupted.fit(first, datamodule=make())
    interrupted.save_checkpoint(tmp_path / "half.ckpt")
    trainer(4).fit(second, datamodule=make(), ckpt_path=tmp_path / "half.ckpt")
    assert first.seen | second.seen == whole.seen
    assert list(second.seen) == [2, 3]
    assert whole.seen[0] != whole.seen[1]


class Draws:
    """An augmentation that changes nothing and remembers what it would have drawn."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def __call__(self, batch: dict[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
        self.seen.append(rng.random())
        return batch


def draws(data: UltrasoundData, epochs: int, accumulated: int = 1, folder: Path | None = None) -> list[float]:
    """Those of a training; with `folder`, of one that is interrupted after the first epoch and resumed."""
    silent = {"logger": False, "limit_val_batches": 0, "enable_progress_bar": False, "enable_model_summary": False}
    data.augment = seen = Draws()
    resumed = None
    for until in [1, epochs] if folder else [epochs]:
        trainer = Trainer(
            max_epochs=until,
            accelerator="cpu",
            enable_checkpointing=False,
            accumulate_grad_batches=accumulated,
            **silent,
        )
        trainer.fit(Recorder(), datamodule=data, ckpt_path=resumed)
        if folder:
            trainer.save_checkpoint(resumed := folder / "until.ckpt")
    return seen.seen


@pytest.mark.parametrize("accumulated", [1, 4])
def test_every_batch_is_augmented_anew_and_as_without_accumulation_and_interruption(
    make: Callable[..., UltrasoundData], tmp_path: Path, accumulated: int
) -> None:
    found = draws(make(seed=3, batch_size=3), 3, accumulated)
    assert found == [np.random.default_rng([3, batch]).random() for batch in range(9)]
    assert draws(make(seed=3, batch_size=3), 3, accumulated, tmp_path) == found


def test_calibration_takes_the_first_epoch_s_images_with_draws_that_are_a_function_of_the_seed_and_no_training_s(
    make: Callable[..., UltrasoundData],
) -> None:
    def drawn(seed: int) -> tuple[list[float], list[list[int]]]:
        data = make(seed=seed, batch_size=3)
        data.augment = seen = Draws()
        given = [batch["record"].tolist() for batch in data.calibration_batches(2)]
        assert given == [batch["record"].tolist() for batch in data.train_dataloader()][:2]
        return seen.seen, given

    first, again, other = drawn(3), drawn(3), drawn(4)
    assert first == again
    assert len({*first[0], *other[0], *draws(make(seed=3, batch_size=3), 3)}) == 2 + 2 + 9
    assert len(list(make(batch_size=3).calibration_batches(100))) == 3


def test_the_digest_is_of_the_image_whatever_else_the_manifest_holds(
    make: Callable[..., UltrasoundData],
) -> None:
    def digests(data: UltrasoundData) -> dict[str, int]:
        data.setup()
        paths = data.manifest.table["image"].iloc[data.records]
        return dict(zip(paths, data.fields["digest"].tolist(), strict=True))

    whole, fewer = digests(make()), digests(make(lambda table: table.iloc[1:], write=False))
    assert len(fewer) == len(whole) - 1
    assert whole | fewer == whole
    assert len(set(whole.values())) == len(whole)
    assert min(whole.values()) >= 0
    assert {digest % 2 for digest in whole.values()} == {0, 1}
    for path, digest in whole.items():
        canvas = Letterbox.fit((30, 40), CANVAS).apply_image(np.asarray(Image.open(path)))
        total = hashlib.sha256(np.array([30, 40], "<u4").tobytes() + canvas.tobytes()).hexdigest()
        assert digest == int(total[:16], 16) // 2, "of all versions: what is drawn by it stays the same"


def test_loading_leaves_the_global_generator_alone(make: Callable[..., UltrasoundData]) -> None:
    data = make()
    torch.manual_seed(0)
    list(data.train_dataloader())
    after = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(3))


def test_missing_annotations_are_named_before_anything_is_read(
    make: Callable[..., UltrasoundData], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"(?s)nt_box: columns nt_x1, nt_y1, nt_x2, nt_y2.*nt_mm: columns nt_mm"):
        make(lambda table: table[["image", "site", "subject"]], requires=("nt_box", "nt_mm"))
    with pytest.raises(UserError, match=r"'nt_bx' .did you mean 'nt_box'"):
        make(requires=("nt_bx",))
    assert not (tmp_path / "cache").exists()


def test_rows_without_a_required_annotation_are_left_out_and_counted(
    make: Callable[..., UltrasoundData], capsys: pytest.CaptureFixture[str]
) -> None:
    def empty(table: pd.DataFrame) -> pd.DataFrame:
        tiny = table.index == 2  # a box of 0.8 canvas px
        table.loc[[0, 12], ["nt_x1", "nt_y1", "nt_x2", "nt_y2"]] = np.nan
        return table.assign(nt_x2=table["nt_x2"].mask(tiny, 5.0))

    data, whole = make(empty), make()
    data.setup()
    printed = capsys.readouterr().out
    assert "left out: 2 images that have no nt_box (0.png, 1.png)" in printed
    assert "left out: 1 images that lose their nt_box on the canvas (2.png)" in printed
    part, before = data.split_table()["part"], whole.split_table()["part"]
    assert part[[0, 2, 12]].tolist() == ["unused"] * 3
    assert part.drop([0, 2, 12]).equals(before.drop([0, 2, 12]))
    used = torch.cat([batch["record"] for p in data.parts for batch in batches(data, p)]).tolist()
    assert sorted(used) == [1, *range(3, 12), 13, 14]


def test_optional_annotations_are_nan_where_absent_and_no_key_where_nobody_has_them(
    make: Callable[..., UltrasoundData],
) -> None:
    data = make(lambda table: table.assign(pixel_mm=np.nan, nt_mm=table["nt_mm"].where(table.index != 11)))
    batch = batches(data, "test")[0]
    assert "pixel_mm" not in batch
    assert batch["nt_mm"].isnan().tolist() == [True, False, False, False]


def test_a_part_without_images_is_an_error_that_names_those_there_are(write_images: Write, tmp_path: Path) -> None:
    manifest = check_manifest(Source(write_images({"a": 10}), "m", tmp_path))
    data = UltrasoundData(manifest, Random(), 0, CANVAS, 4, ["nt_box"], tmp_path / "cache")
    assert data.parts == ["train", "val"]
    with pytest.raises(UserError, match="no images in 'test'; it has train, val"):
        data.test_dataloader()


def test_a_part_emptied_by_missing_annotations_is_an_error(make: Callable[..., UltrasoundData]) -> None:
    with pytest.raises(UserError, match="no usable image is left in train"):
        make(lambda table: table.assign(nt_mm=table["nt_mm"].where(table["site"] == "c")), requires=("nt_mm",))


def test_the_fingerprint_tells_which_part_an_image_is_in(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 4})

    def fingerprint(parts: list[str]) -> str:
        manifest = check_manifest(Source(table.assign(part=parts), "m", tmp_path))
        return UltrasoundData(manifest, Official(), 0, CANVAS, 4, [], tmp_path / "cache").fingerprint()

    assert fingerprint(["train", "train", "val", "val"]) != fingerprint(["train", "val", "val", "val"])


ENDS = ["ofd_1_x", "ofd_1_y", "ofd_2_x", "ofd_2_y", "bpd_1_x", "bpd_1_y", "bpd_2_x", "bpd_2_y"]


@pytest.fixture
def annotated(write_images: Write, tmp_path: Path) -> pd.DataFrame:
    """Six images with a mask, end points, a plane and two boxes; of the last image only the plane is known."""
    table = write_images({"a": 6}, size=(30, 40)).drop(columns=["nt_x1", "nt_y1", "nt_x2", "nt_y2", "nt_mm"])
    labels = np.zeros((30, 40), np.uint8)
    labels[4:20, 8:33], labels[9:12, 15:25] = 100, 200
    Image.fromarray(labels).save(tmp_path / "mask.png")
    table = table.assign(mask="mask.png", plane=["brain", "femur"] * 3)
    table[["it_x1", "it_y1", "it_x2", "it_y2"]] = [10, 8, 20, 12]
    table[["cm_x1", "cm_y1", "cm_x2", "cm_y2"]] = [22, 8, 30, 16]
    table[ENDS] = [8, 12, 33, 12, 20.5, 4, 20.5, 20]
    table = table.astype(object)
    table.loc[5, [*ENDS, "mask", "it_x1", "it_y1", "it_x2", "it_y2"]] = ""
    return table


def data_of(table: pd.DataFrame, folder: Path, requires: tuple[str, ...] = ()) -> UltrasoundData:
    code = MaskCode.of({"parenchyma": 100, "csp": 200})
    manifest = check_manifest(Source(table, "m", folder, code))
    return UltrasoundData(manifest, Random(0.5), 0, CANVAS, 8, requires, folder / "cache")


def test_masks_points_categories_and_several_boxes_go_through_one_letterbox(
    annotated: pd.DataFrame, tmp_path: Path
) -> None:
    data = data_of(annotated, tmp_path)
    batch = {key: torch.cat([b[key] for b in data.train_dataloader()]) for key in next(iter(data.train_dataloader()))}
    fit = Letterbox.fit((30, 40), CANVAS)
    for record, *values in zip(*(batch[k] for k in ("record", "landmarks", "it_box", "mask", "plane")), strict=True):
        landmarks, it_box, mask, plane = values
        assert plane == (1 if record % 2 == 0 else 2)
        if record == 5:
            assert landmarks.isnan().all()
            assert it_box.isnan().all()
            assert (mask == 255).all()
            continue
        np.testing.assert_allclose(landmarks, fit.apply_points([[8, 12], [33, 12], [20.5, 4], [20.5, 20]]), rtol=1e-6)
        np.testing.assert_allclose(it_box, fit.apply_box([10, 8, 20, 12]), rtol=1e-6)
        rows, columns = torch.nonzero(mask == 2, as_tuple=True)
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(np.array(edges) - fit.apply_box([15, 9, 25, 12])).max() <= 0.5
        assert set(mask.unique().tolist()) == {0, 1, 2}
    assert batch["plane"].dtype == torch.int64
    assert batch["mask"].dtype == torch.uint8


def test_a_crop_moves_every_annotation_and_what_it_cuts_off_is_missing(annotated: pd.DataFrame, tmp_path: Path) -> None:
    whole = annotated.iloc[:2].copy()
    whole[["crop_x1", "crop_y1", "crop_x2", "crop_y2"]] = [[6, 2, 36, 24], [6, 2, 30, 24]]
    data = data_of(whole, tmp_path)
    data.setup()
    batch = {key: torch.cat([next(iter(data.part_loader(p)))[key] for p in data.parts]) for key in data.fields}
    first, second = batch["record"].argsort().tolist()
    fit = Letterbox.fit((30, 40), CANVAS, (6, 2, 36, 24))
    np.testing.assert_allclose(batch["landmarks"][first, 1], fit.apply_points([33, 12]), rtol=1e-6)
    np.testing.assert_allclose(batch["cm_box"][first], fit.apply_box([22, 8, 30, 16]), rtol=1e-6)
    assert batch["landmarks"][second].isnan().all()
    assert not batch["cm_box"][second].isnan().any()
    assert tuple(batch["content"][first].tolist()) == fit.content


def test_rows_without_a_required_mask_or_box_are_left_out(
    annotated: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_of(annotated, tmp_path, ("mask", "it_box"))
    data.setup()
    assert 5 not in data.records
    assert "left out: 1 images that have no mask (5.png)" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"midbrain_box: columns midbrain_x1"):
        data_of(annotated, tmp_path, ("midbrain_box",))


def test_the_fingerprint_follows_every_kind_of_annotation(annotated: pd.DataFrame, tmp_path: Path) -> None:
    whole = annotated.iloc[:5]
    before = data_of(whole, tmp_path).fingerprint()
    for change in ({"plane": "brain"}, {"cm_x2": 31}, {"bpd_2_y": 21}, {"mask": ""}):
        assert data_of(whole.assign(**change), tmp_path).fingerprint() != before


def test_the_label_audit_sees_training_rows_alone_and_its_weights_reach_the_batches(
    annotated: pd.DataFrame, tmp_path: Path
) -> None:
    seen: list[pd.DataFrame] = []

    def audit(table: pd.DataFrame) -> np.ndarray:
        seen.append(table)
        return np.where(np.arange(len(table)) == 0, 0.0, 0.5)

    manifest = check_manifest(Source(annotated, "m", tmp_path, MaskCode.of({"parenchyma": 100, "csp": 200})))
    plain = UltrasoundData(manifest, Random(0.5), 0, CANVAS, 8, (), tmp_path / "cache")
    data = UltrasoundData(manifest, Random(0.5), 0, CANVAS, 8, (), tmp_path / "cache", label_audit=audit)
    trained = plain.part[plain.part == "train"].index
    assert seen[0].index.equals(trained)
    records = torch.cat([batch["record"] for batch in data.part_loader("train")])
    assert records.tolist() == trained[1:].tolist()
    assert torch.cat([batch["label_weight"] for batch in data.part_loader("train")]).unique().tolist() == [0.5]
    assert torch.cat([batch["label_weight"] for batch in data.part_loader("val")]).unique().tolist() == [1]


def test_an_audit_multiplies_the_manifest_s_weights_and_an_empty_cell_counts_as_1(
    write_images: Write, tmp_path: Path
) -> None:
    table = write_images({"a": 6}).assign(label_weight=[0.5, np.nan, 1.0, np.nan, 0.25, np.nan])
    manifest = check_manifest(Source(table, "m", tmp_path))
    audit = lambda rows: np.full(len(rows), 0.5)  # noqa: E731
    data = UltrasoundData(manifest, Random(0.5), 0, CANVAS, 8, (), tmp_path / "cache", label_audit=audit)
    for part, factor in (("train", 0.5), ("val", 1.0)):
        (batch,) = data.part_loader(part)
        expected = table["label_weight"].fillna(1).to_numpy()[batch["record"]] * factor
        assert batch["label_weight"].tolist() == expected.tolist()
    plain = UltrasoundData(manifest, Random(0.5), 0, CANVAS, 8, (), tmp_path / "cache")
    (batch,) = plain.part_loader("train")
    assert batch["label_weight"].isnan().tolist() == table["label_weight"].isna().to_numpy()[batch["record"]].tolist()


def test_native_px_undoes_the_letterbox_along_either_axis(annotated: pd.DataFrame, tmp_path: Path) -> None:
    batch = next(iter(data_of(annotated, tmp_path).part_loader("train")))
    fit = Letterbox.fit((30, 40), CANVAS)
    ends = batch["landmarks"] if "landmarks" in batch else torch.tensor([[[0.0, 0], [3, 5]]])
    away = (ends[:, 1] - ends[:, 0]) * batch["native_px"][: len(ends)]
    native = torch.tensor(fit.invert_points(ends)).float()
    torch.testing.assert_close(away, native[:, 1] - native[:, 0], equal_nan=True)


def test_a_seed_of_the_split_leaves_the_split_alone_whatever_the_seed(
    write_images: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    manifest = check_manifest(Source(write_images({"a": 12}), "m", tmp_path))

    def parts(seed: int, split_seed: int | None = None) -> list[str]:
        data = UltrasoundData(manifest, Random(0.5), seed, CANVAS, 4, [], tmp_path / "cache", split_seed=split_seed)
        return list(data.part)

    assert parts(1) != parts(2)
    assert parts(1, 7) == parts(2, 7) == parts(7)


def test_a_process_that_a_data_set_is_sent_to_maps_the_canvases_itself(annotated: pd.DataFrame, tmp_path: Path) -> None:
    data = data_of(annotated, tmp_path)
    before = batches(data, "train")
    assert not {"pixels", "fields"} & {key for key, value in data.__getstate__().items() if value is not None}
    sent = cloudpickle.loads(cloudpickle.dumps(data))
    for old, new in zip(before, batches(sent, "train"), strict=True):
        assert old.keys() == new.keys()
        assert all(torch.equal(old[key], new[key]) or old[key].isnan().any() for key in old)
    assert sent.fingerprint() == data.fingerprint()


def test_the_fingerprint_is_that_of_all_values_at_once_however_few_are_read_at_a_time(
    annotated: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of(annotated, tmp_path)
    data.setup()
    expected = hashlib.sha256(repr(CANVAS).encode())
    for part in ("train", "val"):
        rows = np.flatnonzero(data.part.iloc[data.records] == part)
        expected.update(f"{part} {len(rows)}".encode() + b"".join(data.digests[row] for row in rows))
        expected.update("\0".join(data.manifest.table["site"].iloc[data.records[rows]]).encode())
        for name in data.manifest.annotations:
            values = data.fields[name][rows]
            if not missing(values).all():
                expected.update(name.encode() + values.numpy().tobytes())
    for chunk in (1, 5000, 2**26):
        monkeypatch.setattr("ushydra_lab.data.fields.CHUNK_BYTES", chunk)
        assert data.fingerprint() == expected.hexdigest()
