"""What `difficulty` and `sites` promise: easy is what it always was, and all else passes the check."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ushydra_lab import phantom
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import phantom as reader
from ushydra_lab.errors import UserError
from ushydra_lab.phantom import DIFFICULTIES, SCENES, render
from ushydra_lab.phantom.framing import Variation
from ushydra_lab.phantom.nt_clinical import ClinicalAnatomy, ClinicalFetus
from ushydra_lab.phantom.practice import Practice, varied

EASY = json.loads(Path(__file__).with_name("easy.json").read_text("utf-8"))
"""Beginnings of SHA-256, taken before there was another difficulty: of manifests, and of images with their masks."""


def arithmetic() -> str:
    """Digest of what this machine's libraries make of some numbers: another CPU's last digits may differ."""
    values = np.random.default_rng(0).normal(size=(64, 64))
    parts = [np.fft.fft2(values), np.exp(values), np.log(np.abs(values)), np.sin(values), np.hypot(values, values.T)]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]


@pytest.mark.skipif(arithmetic() != EASY["arithmetic"], reason="the digests are of another machine's arithmetic")
@pytest.mark.parametrize("scene", SCENES)
def test_easy_is_what_it_was_to_the_byte(tmp_path: Path, scene: str) -> None:
    def digest(content: bytes) -> str:
        return hashlib.sha256(content).hexdigest()[:16]

    counts = dict.fromkeys(SCENES[scene].machines, 1)
    found = {"manifest.csv": digest(phantom.write(tmp_path / scene, scene, 7, counts).read_bytes())}
    for site in counts:
        record = render(scene, 7, site, 0)
        found[site] = digest(record.image.tobytes() + (b"" if record.mask is None else record.mask.tobytes()))
    assert found == EASY[scene]


@pytest.mark.parametrize("scene", SCENES)
def test_a_record_is_one_of_its_difficulty(scene: str) -> None:
    site = next(iter(SCENES[scene].machines))
    images = {difficulty: render(scene, 1, site, 0, difficulty).image.tobytes() for difficulty in DIFFICULTIES}
    assert len(set(images.values())) == 3
    render(scene, 1, site, 1, "real")
    assert render(scene, 1, site, 0, "real").image.tobytes() == images["real"]


@pytest.mark.parametrize("difficulty", ["real", "hard"])
@pytest.mark.parametrize("scene", SCENES)
def test_a_data_set_of_any_difficulty_and_many_sites_passes_the_check(
    tmp_path: Path, scene: str, difficulty: str
) -> None:
    manifest = check_manifest(reader.read(tmp_path, scene, 3, 1, difficulty, sites=6))
    assert len(manifest.sites) == 6
    easy = check_manifest(reader.read(tmp_path, scene, 3, 1))
    assert set(manifest.annotations) == set(easy.annotations)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        f"{scene}-v1-seed3-1",
        f"{scene}-v1-seed3-1-{difficulty}-6sites",
    ]


def test_a_site_is_the_same_however_many_there_are() -> None:
    for scene in SCENES.values():
        many = scene.sites(12)
        assert scene.sites(5) == many[:5]
        assert scene.sites() == list(scene.machines) == many[: len(scene.machines)]
        assert len({scene.machine(site) for site in many}) == 12
        assert [scene.machine(site) for site in many] == [scene.machine(site) for site in many]


def test_few_sites_are_the_first_and_one_is_none() -> None:
    assert SCENES["nt"].sites(2) == ["hospital_a", "hospital_b"]
    for number in (-1, 0, 1, 100):
        with pytest.raises(UserError, match=rf"data\.sites={number}: from 2 to 99"):
            SCENES["nt"].sites(number)


@pytest.mark.parametrize("site", ["hospital_03", "hospital_4", "hospital_004", "clinic_05", "hospital_00"])
def test_a_site_that_is_none_is_refused(site: str) -> None:
    with pytest.raises(UserError, match=rf"no site {site}; it has hospital_a, .*hospital_04 on"):
        render("nt", 0, site, 0)


def test_an_unknown_difficulty_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.difficulty=harder: choose one of easy, real, hard"):
        reader.read(tmp_path / "phantoms", difficulty="harder")
    assert not (tmp_path / "phantoms").exists()


def test_further_sites_have_habits_of_their_own_also_at_easy() -> None:
    """Their annotators give whole px; a textbook's boxes are exact."""
    for site in SCENES["nt"].sites(6):
        annotations = render("nt", 0, site, 0).annotations
        whole = [float(annotations[f"nt_{edge}"]).is_integer() for edge in ("x1", "y1", "x2", "y2")]
        assert all(whole) == (site not in SCENES["nt"].machines)


def test_the_thickness_is_not_touched_where_the_strip_is_widest() -> None:
    for seed in range(20):
        fetus = ClinicalFetus.seen(np.random.default_rng(seed), severity=1.8)
        along = np.linspace(fetus.strip.left, fetus.strip.right, 400)
        factor = ClinicalAnatomy(fetus, along[:, None], 0 * along[:, None]).merging()[:, 0]
        near = np.abs(along - fetus.strip.widest) < 0.05 * (fetus.strip.right - fetus.strip.left)
        assert factor[near].min() > 0.98
        assert fetus.strip.lumen(along).max() == pytest.approx(fetus.strip.thickness, rel=1e-3)


def test_walls_break_at_random_along_the_back_the_same_at_any_depth() -> None:
    """Of uncorrelated knots between which it is linear, a field has 2/3 of their variance of 1.5 squared."""
    x, fields = np.linspace(-60, 60, 1201), []
    for seed in range(100):
        fetus = ClinicalFetus.seen(np.random.default_rng(seed), severity=1.0)
        field = ClinicalAnatomy(fetus, np.tile(x, (2, 1)), np.array([[0.0], [9.0]]) * np.ones_like(x)).along(6.0)
        assert np.array_equal(*field)
        fields.append(field[0])
    assert np.mean(fields) == pytest.approx(0, abs=0.1)
    assert np.var(fields) == pytest.approx(1.5, rel=0.1)
    apart = {mm: np.mean([field[: -10 * mm] * field[10 * mm :] for field in fields]) / 1.5 for mm in (1, 12)}
    assert apart[1] > 0.9
    assert abs(apart[12]) < 0.1


def test_hospitals_differ_in_prevalence() -> None:
    """A hospital that leans to thick necks has more above 2.5 mm than one that leans to thin ones."""
    scene = SCENES["nt"]
    shares = []
    for lean in (-0.8, 0.8):
        practice = replace(Practice.of(np.random.default_rng(0), 1.0), lean=lean)
        rng = np.random.default_rng(1)
        fetuses = [practice.patient(rng, scene.draw, scene.trait) for _ in range(400)]
        shares.append(np.mean([fetus.strip.thickness > 2.5 for fetus in fetuses]))
    assert shares[1] > 2 * shares[0]


def test_the_further_from_a_textbook_the_smaller_a_subject_is_in_the_image_and_none_is_too_large() -> None:
    practice = replace(Practice.of(np.random.default_rng(0), 1.0), zoom=0.0)
    fetus, variation = SCENES["nt"].draw(np.random.default_rng(0)), Variation(smaller=0.2, x=0.1, y=0.1, gain_db=1)
    of_severity = {
        severity: [practice.placed(np.random.default_rng(n), fetus, variation, severity).zoom for n in range(50)]
        for severity in (0.0, 0.5, 1.0)
    }
    assert of_severity[0.0] == [1.0] * 50
    assert np.median(of_severity[1.0]) == pytest.approx(np.exp(-0.2), abs=0.05)
    assert all(more > less for more, less in zip(of_severity[0.5], of_severity[1.0], strict=True))
    large = replace(practice, zoom=0.5)
    assert large.placed(np.random.default_rng(0), fetus, variation, 0.0).zoom == 1


def test_annotators_move_what_they_draw_and_leave_measurements() -> None:
    annotator = Practice.of(np.random.default_rng(4), 1.0).annotator
    truth = {"nt_x1": 100.0, "nt_y1": 50.0, "nt_x2": 220.0, "nt_y2": 90.0, "nt_mm": 1.7}
    truth |= {"ofd_1_x": 10.0, "ofd_1_y": 40.0, "ofd_2_x": 210.0, "ofd_2_y": 60.0, "plane": "brain"}
    wide = replace(annotator, margin=0.2, offset=(0.0, 0.0), reach=0.05)
    read = wide.read(np.random.default_rng(0), truth, (300, 400), severity=0)
    assert [read[key] for key in ("nt_x1", "nt_y1", "nt_x2", "nt_y2")] == [88, 46, 232, 94]
    assert [read[key] for key in ("ofd_1_x", "ofd_1_y", "ofd_2_x", "ofd_2_y")] == [5, 39.5, 215, 60.5]
    assert (read["nt_mm"], read["plane"]) == (1.7, "brain")


@pytest.mark.parametrize("traced", [-2.0, 2.0])
def test_an_outline_traced_outside_the_border_is_larger(traced: float) -> None:
    scene = SCENES["heart"]
    rng = np.random.default_rng(2)
    heart, annotator = scene.draw(rng), replace(Practice.of(rng, 1.0).annotator, traced_px=traced)
    view = scene.machines["echo_high"].view(rng, heart.size_mm)
    mask = annotator.trace(rng, heart, view, severity=0)
    true = np.where(view.visible(*view.grid()), heart.labels(*view.grid()), 0)
    assert mask is not None
    smaller, larger = (true, mask) if traced > 0 else (mask, true)
    assert (smaller <= larger).all()
    assert smaller.sum() < larger.sum()


def test_a_machine_s_varieties_keep_what_kind_it_is() -> None:
    for scene in SCENES.values():
        for machine in scene.machines.values():
            other = varied(machine, np.random.default_rng(3))
            assert type(other) is type(machine)
            assert other != machine
            assert bool(other.apex_mm) == bool(machine.apex_mm)


def circumferences(difficulty: str) -> list[float]:
    return [render("head", 0, "hospital_a", index, difficulty).annotations["hc_mm"] for index in range(12)]


def test_heads_at_real_are_of_any_age() -> None:
    assert min(circumferences("real")) < 130 < max(circumferences("real"))
    assert min(circumferences("easy")) > 140
