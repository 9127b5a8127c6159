"""How long work took is the median over the jobs that noted it; what is damaged tells nothing."""

from pathlib import Path

from ushydra_lab.files import write_json
from ushydra_lab.runs.pace import Pace, recorded


def test_the_pace_of_a_piece_of_work_is_its_median_over_all_experiments(tmp_path: Path) -> None:
    noted = {"nt": [[1.0, 10], [5.0, 30]], "brain": [[2.0, 20]]}
    for experiment, numbers in noted.items():
        for seed, pace in enumerate(numbers):
            write_json(tmp_path / experiment / "site" / f"seed{seed}" / "v" / "run.json",
                       {"status": "running", "pace": {"shared": pace, experiment: pace, "short": [1.0]}})  # fmt: skip
    assert recorded(tmp_path) == {"shared": Pace(2, 20, 3), "nt": Pace(3, 20, 2), "brain": Pace(2, 20, 1)}


def test_damaged_records_tell_no_time(tmp_path: Path) -> None:
    copy = tmp_path / "exp" / "site" / "seed1" / "a"
    copy.mkdir(parents=True)
    (copy / "run.json").write_text("{")
    assert recorded(tmp_path) == {}
