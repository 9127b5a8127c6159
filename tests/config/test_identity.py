"""A stored configuration reads as it was typed."""

import yaml

from ushydra_lab.config.identity import to_yaml


def test_stages_stay_in_their_order_and_words_in_their_letters() -> None:
    content = {"stages": {"pretrain": {"max_epochs": 1}, "detect": {"init": "pretrain"}}, "data": {"site": "Würzburg"}}
    stored = to_yaml(content)
    read = yaml.safe_load(stored)
    assert read == content
    assert [list(read), list(read["stages"])] == [["stages", "data"], ["pretrain", "detect"]]
    assert "Würzburg" in stored
