"""The two phases stand beside the paper's tables, hospital by hospital, and what was not run is seen."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.report.document import Note
from ushydra_lab.report.papers import registry
from ushydra_lab.report.papers.nt.phases import COLUMNS, hospital_of_site, section
from ushydra_lab.report.papers.nt.printed import DIFFER, TABLE_1, TABLE_3, TABLE_10
from ushydra_lab.report.render import latex, markdown
from ushydra_lab.results.collect import collect

from .. import fake_runs

SITES = ("anna", "berta", "clara")
COUNTS = {"anna": 7, "berta": 6, "clara": 5}


def write_run(
    root: Path, held_out: str, seed: int, variant: str, status: str = "finished", val: int = 2, sites: bool = True
) -> None:
    """A run with random numbers of its own; Phase 1 is that of all variants."""
    run = root / held_out / f"seed{seed}" / variant
    stages = {"phase1": f"p1-{held_out}-{seed}", "phase2": f"p2-{held_out}-{seed}-{variant}"}
    if status != "finished":
        fake_runs.write(run, stages, status=status)
        return
    split = pd.DataFrame([{"site": site, "subject": f"{i:03d}"} for site in SITES for i in range(COUNTS[site])])
    split["record"] = split.index
    split["part"] = np.where((split["site"] == held_out) & sites, "test", "train")
    split.loc[split.index[split["part"] == "train"][:val], "part"] = "val"
    known = split[split["part"] != "train"].drop(columns="subject")
    tables = []
    for stage in stages:
        rng = np.random.default_rng([seed, *stages[stage].encode()])
        tables.append(
            known.assign(stage=stage, psnr_content=1.0, **{c: rng.uniform(1, 2, len(known)) for c in COLUMNS})
        )
    fake_runs.write(run, stages, pd.concat(tables), split)


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """clara held out with two seeds and the control; berta with one seed of the final objective; anna never."""
    root = tmp_path / "nt_phase2"
    for seed in (1, 2):
        write_run(root, "clara", seed, "roi", val=2 + seed)
        write_run(root, "clara", seed, "global", val=2 + seed)
    write_run(root, "berta", 1, "roi")
    write_run(root, "berta", 2, "roi", "running")
    return root


def tables(experiment: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    section(collect(experiment), experiment / "report")
    one, three, ten = (fake_runs.read_texts(experiment / "report" / f"nt_table{n}.csv") for n in (1, 3, 10))
    return (
        one.set_index("Held out"),
        three.set_index(["Held out", "Phase"]),
        ten.set_index(["Held out", "Phase", "Metric"]),
    )


def images(experiment: Path, held_out: str, variant: str, seed: int, stage: str, part: str) -> pd.DataFrame:
    table = pd.read_csv(experiment / held_out / f"seed{seed}" / variant / "per_image.csv")
    return table[(table["stage"] == stage) & (table["part"] == part)]


def test_table_1_counts_the_images_of_each_part_and_tells_where_seeds_differ(experiment: Path) -> None:
    table = tables(experiment)[0]
    assert table.index.tolist() == list(SITES)
    assert table.loc["clara", ["Training sites", "# Train", "# Validation", "# Test"]].tolist() == [
        "anna + berta",
        "9 or 10",
        "3 or 4",
        "5",
    ]
    assert table.loc["berta", ["# Train", "# Validation", "# Test"]].tolist() == ["10", "2", "6"]
    assert table.loc["anna", ["Training sites", "# Train", "# Test"]].tolist() == [
        "berta + clara",
        "not run",
        "not run",
    ]


def test_table_3_is_mean_and_sd_over_seeds_of_the_unseen_images(experiment: Path) -> None:
    table = tables(experiment)[1]
    rows = {"Phase 1": ("phase1", "roi"), "Phase 2": ("phase2", "roi")}
    rows |= {"Phase 2, global only (control)": ("phase2", "global")}
    for phase, (stage, variant) in rows.items():
        for column, metric in COLUMNS.items():
            means = [images(experiment, "clara", variant, seed, stage, "test")[column].mean() for seed in (1, 2)]
            expected = f"{np.mean(means):.{metric.digits}f} ± {np.std(means, ddof=1):.{metric.digits}f}"
            assert table.loc[("clara", phase), metric.title] == expected
        assert table.loc[("clara", phase), "n"] == "2 x 5"
    alone = images(experiment, "berta", "roi", 1, "phase2", "test")["psnr"].mean()
    assert table.loc[("berta", "Phase 2"), "PSNR, full canvas (dB) ↑"] == f"{alone:.2f}"
    assert table.loc[("berta", "Phase 2"), "n"] == "1 x 6 (1 of 2 runs missing)"


def test_table_10_is_the_change_on_the_same_images_in_the_paper_s_units(experiment: Path) -> None:
    table = tables(experiment)[2]
    for title, part in (("Validation", "val"), ("Test", "test")):
        before, after = (
            pd.concat([images(experiment, "clara", "roi", seed, stage, part) for seed in (1, 2)])[list(COLUMNS)].mean()
            for stage in ("phase1", "phase2")
        )
        cells = table.loc[("clara", "Phase 2")][title]
        assert cells["PSNR, full canvas (dB)"].startswith(f"{after['psnr'] - before['psnr']:+.2f} dB [")
        assert cells["MS-SSIM, full canvas"].startswith(f"{after['ms_ssim'] - before['ms_ssim']:+.4f} [")
        for label, column in (("ROI-MAE", "roi_mae"), ("ROI Edge-MAE", "roi_edge_mae")):
            change = 100 * (after[column] - before[column]) / before[column]
            assert cells[label].startswith(f"{change:+.2f} % [")
    low, high = table.loc[("clara", "Phase 2", "PSNR, full canvas (dB)"), "Test"].split("[")[1].rstrip("]").split(", ")
    assert (
        float(low)
        < float(table.loc[("clara", "Phase 2", "PSNR, full canvas (dB)"), "Test"].split(" ")[0])
        < float(high)
    )


def test_each_hospital_has_its_own_printed_numbers_and_the_control_none(experiment: Path) -> None:
    one, three, ten = tables(experiment)
    assert hospital_of_site(collect(experiment)) == dict(zip(SITES, ("H1", "H2", "H3"), strict=True))
    assert one["# Train paper"].tolist() == ["1073", "1079", "1296"]
    assert three.loc[("anna", "Phase 2"), "PSNR, full canvas (dB) paper"] == "34.70 ± 0.55"
    assert three.loc[("berta", "Phase 1"), "ROI Edge-MAE paper"] == "0.02766 ± 0.00069"
    assert three.loc[("clara", "Phase 1"), "MS-SSIM, full canvas paper"] == "0.9969 ± 0.0006"
    papers = [column for column in three if column.endswith("paper")]
    assert set(three.loc[("clara", "Phase 2, global only (control)"), papers]) == {"–"}
    assert ten.loc[("clara", "Phase 2", "ROI-MAE"), ["Validation paper", "Test paper"]].tolist() == ["-8.87%", "-6.43%"]
    assert set(ten.drop(index=("clara", "Phase 2"))["Test paper"]) == {"–"}


def test_the_paper_s_own_claims_follow_from_its_numbers() -> None:
    """Section 2.2: 2,028 images, 15 % for validation; section 3.3: edge error 4 to 12 % lower, for H1 more."""
    sizes = {site: tuple(map(int, numbers)) for site, numbers in TABLE_1.items()}
    assert {sum(numbers) for numbers in sizes.values()} == {2028}
    assert all(round(0.15 * (train + val)) == val for train, val, _ in sizes.values())
    edge = {key: float(values[-1].split()[0]) for key, values in TABLE_3.items()}
    lower = {site: round(100 * (1 - edge[site, "roi"] / edge[site, "phase1"]), 1) for site in TABLE_1}
    assert lower == {"H1": 17.7, "H2": 12.4, "H3": 4.3}
    assert TABLE_10["roi_edge_mae"] == ("-11.10%", "-4.90%")


def test_what_was_not_run_is_a_row_with_its_command(experiment: Path) -> None:
    _, three, ten = tables(experiment)
    text = markdown.render(section(collect(experiment), experiment / "report"))
    titles = [metric.title for metric in COLUMNS.values()]
    for row in (("anna", "Phase 1"), ("anna", "Phase 2"), ("berta", "Phase 2, global only (control)")):
        assert set(three.loc[row, titles]) == {"not run"}
        assert three.loc[row, "n"] == "0"
    assert set(ten.loc[("anna", "Phase 2")]["Test"]) == {"not run"}
    assert "- Held out anna: not run.\n  `python -m ushydra_lab +experiment=nt_phase2 held_out=anna seed=1,2`" in text
    assert "Held out berta, Phase 2: not run (seed 2)" in text
    assert "held_out=berta seed=2 loss=roi`" in text
    assert "held_out=berta seed=1,2 loss=global`" in text
    assert "held_out=clara" not in text


def test_a_control_that_did_not_finish_anywhere_is_a_row_too(tmp_path: Path) -> None:
    write_run(tmp_path / "nt", "clara", 1, "roi")
    write_run(tmp_path / "nt", "clara", 1, "global", "failed")
    table = tables(tmp_path / "nt")[1]
    assert table.loc[("clara", "Phase 2, global only (control)"), "ROI-MAE ↓"] == "not run"
    text = markdown.render(section(collect(tmp_path / "nt"), tmp_path / "nt" / "report"))
    assert "held_out=clara seed=1 loss=global`" in text


def test_phase_1_is_the_one_that_the_final_objective_began_from(experiment: Path) -> None:
    """The control, run first, has another Phase 1 of its own."""
    for seed in (1, 2):
        file = experiment / f"clara/seed{seed}/global/run.json"
        summary = json.loads(file.read_text())
        summary["stages"]["phase1"]["key"] = "another"
        file.write_text(json.dumps(summary | {"started": "000"}))
        images = pd.read_csv(file.with_name("per_image.csv"))
        images.loc[images["stage"] == "phase1", "roi_mae"] = 9
        images.to_csv(file.with_name("per_image.csv"), index=False)
    test_table_3_is_mean_and_sd_over_seeds_of_the_unseen_images(experiment)


def test_the_note_on_the_paper_s_two_tables_follows_from_their_numbers(experiment: Path) -> None:
    first, final = ([float(cell.split(" ")[0]) for cell in TABLE_3["H3", phase]] for phase in ("phase1", "roi"))
    psnr, ms_ssim, mae, roi_ms_ssim, edge = (b - a for a, b in zip(first, final, strict=True))
    gains = (f"{psnr:+.2f} dB PSNR", f"{ms_ssim:+.4f} MS-SSIM", f"{100 * mae / first[2]:+.2f} % ROI-MAE")
    gains += (f"{roi_ms_ssim:+.4f} ROI MS-SSIM", f"{100 * edge / first[4]:+.2f} % ROI Edge-MAE")
    for words in gains:
        assert words in DIFFER
    assert DIFFER in markdown.render(section(collect(experiment), experiment / "report"))


def test_a_gain_that_the_padding_turns_round_is_named_with_both_numbers(tmp_path: Path) -> None:
    root = tmp_path / "nt_phase2"
    for seed in (1, 2):
        write_run(root, "clara", seed, "roi")
        file = root / "clara" / f"seed{seed}" / "roi" / "per_image.csv"
        own = pd.read_csv(file)
        after = own["stage"] == "phase2"
        own["psnr"], own["psnr_content"] = 28 + 0.25 * after, 28 - 0.17 * after * (own["part"] == "test")
        own.to_csv(file, index=False)
    text = section(collect(root), root / "report")
    found = [block.text for block in text if isinstance(block, Note) and block.text.startswith("A gain's sign")]
    assert found == [
        "A gain's sign depends on the region, without padding and on the full canvas: held out clara, Phase 2 against "
        "Phase 1, test, PSNR -0.17 and +0.25 dB."
    ]


def test_captions_tell_selection_region_source_and_which_site_stands_for_which_hospital(experiment: Path) -> None:
    text = markdown.render(section(collect(experiment), experiment / "report"))
    for words in (
        "Full canvas: with the letterbox padding",
        "lowest validation loss",
        "alphabetical order",
        "ddof 1",
        "95 %",
    ):
        assert words in text
    assert latex.render(section(collect(experiment), experiment / "report")).count(r"\begin{table}") == 3


def test_without_the_final_objective_phase_1_is_the_control_s(tmp_path: Path) -> None:
    write_run(tmp_path / "nt", "clara", 1, "global")
    table = tables(tmp_path / "nt")[1]
    assert table.loc[("clara", "Phase 2"), "ROI-MAE ↓"] == "not run"
    mean = images(tmp_path / "nt", "clara", "global", 1, "phase1", "test")["roi_mae"].mean()
    assert table.loc[("clara", "Phase 1"), "ROI-MAE ↓"] == f"{mean:.5f}"
    text = markdown.render(section(collect(tmp_path / "nt"), tmp_path / "nt" / "report"))
    assert "held_out=clara seed=1 loss=roi`" in text


def test_a_random_split_has_no_paper_s_numbers_beside_it_and_says_that_no_image_is_unseen(tmp_path: Path) -> None:
    write_run(tmp_path / "nt", "random", 1, "roi", sites=False)
    one, three, ten = tables(tmp_path / "nt")
    assert one.index.tolist() == ["random"]
    assert one.loc["random", "# Train paper"] == "–"
    assert set(three["PSNR, full canvas (dB) ↑"]) == {"no such images"}
    assert ten.loc[("random", "Phase 2", "PSNR, full canvas (dB)"), "Validation"].count("dB") == 1


def test_other_experiments_have_none_of_it(tmp_path: Path) -> None:
    write_run(tmp_path / "nt_ablation", "clara", 1, "roi")
    registry.section(collect(tmp_path / "nt_ablation"), tmp_path / "nt_ablation" / "report")
    assert not (tmp_path / "nt_ablation" / "report" / "nt_table3.csv").exists()
    write_run(tmp_path / "mine", "clara", 1, "roi")
    assert registry.section(collect(tmp_path / "mine"), tmp_path / "mine" / "report") == []
    write_run(tmp_path / "nt_phase2", "clara", 1, "roi")
    file = tmp_path / "nt_phase2/clara/seed1/roi/per_image.csv"
    pd.read_csv(file).drop(columns="roi_edge_mae").to_csv(file, index=False)
    (said,) = registry.section(collect(tmp_path / "nt_phase2"), tmp_path / "nt_phase2" / "report")
    assert said == Note("The tables of paper nt need roi_edge_mae, which these runs do not have.")


def test_the_same_runs_give_the_same_text(experiment: Path) -> None:
    once = markdown.render(section(collect(experiment), experiment / "report"))
    assert once == markdown.render(section(collect(experiment), experiment / "report"))


def test_a_variant_with_a_phase_1_of_its_own_is_compared_with_that(tmp_path: Path) -> None:
    root = tmp_path / "nt_phase2"
    for seed in (1, 2):
        write_run(root, "clara", seed, "roi")
        write_run(root, "clara", seed, "wide")
        run = root / "clara" / f"seed{seed}" / "wide"
        summary = json.loads((run / "run.json").read_text())
        summary["stages"]["phase1"]["key"] = f"own {seed}"
        (run / "run.json").write_text(json.dumps(summary))
        own = pd.read_csv(run / "per_image.csv")
        own["psnr"] = np.where(own["stage"] == "phase1", 30.0, 30.5)
        own.to_csv(run / "per_image.csv", index=False)
    assert tables(root)[2].loc[("clara", "Phase 2, wide", "PSNR, full canvas (dB)"), "Test"].startswith("+0.50 dB")


def test_folds_that_were_not_run_are_told(tmp_path: Path) -> None:
    root = tmp_path / "nt_phase2"
    for fold in (0, 1, 2):
        write_run(root, f"fold{fold}of5", 1, "roi", sites=False)
        if fold < 2:
            write_run(root, f"fold{fold}of5", 1, "global", sites=False)
    text = markdown.render(section(collect(root), root / "report"))
    ten = fake_runs.read_texts(root / "report" / "nt_table10.csv").set_index(["Phase", "Metric"])
    assert ten.loc[("Phase 2", "ROI-MAE"), "n validation"].endswith("(3 of 5 folds)")
    assert ten.loc[("Phase 2, global only (control)", "ROI-MAE"), "n validation"].endswith("(1 of 3 runs missing)")
    assert "split.fold=2 seed=1 loss=global`" in text


def test_two_data_sets_in_one_folder_keep_to_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "nt_phase2"
    for variant in ("roi", "global"):
        write_run(root, "clara", 1, variant)
    own = ("st_a", "st_b", "st_c")
    monkeypatch.setattr(sys.modules[__name__], "SITES", own)
    monkeypatch.setattr(sys.modules[__name__], "COUNTS", dict(zip(own, (7, 6, 5), strict=True)))
    for held_out in own[:2]:
        for variant in ("roi", "global"):
            for seed in (2, 3):
                write_run(root, held_out, seed, variant)
    found = collect(root)
    assert hospital_of_site(found) == dict(zip(("anna", "berta", "clara", *own), ("H1", "H2", "H3") * 2, strict=True))
    text = markdown.render(section(found, root / "report"))
    assert "missing)" not in text
    assert "held_out=st_c seed=2,3`" in text
    assert "`as of clara, but held_out=anna seed=1`" in text
