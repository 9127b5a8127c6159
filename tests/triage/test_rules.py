"""Judgements: reasons, missing thresholds, several members."""

from math import inf, nan

from ushydra_lab.triage.rules import Judgement, Rule, Triage, together


def rule(code: str, threshold: float, n_images: int = 60) -> Rule:
    return Rule(code, threshold, 2.0, 0.05, n_images, n_images, 2)


RULES = Triage((rule("ood", 10.0), rule("uncertain", 0.5)), None)


def test_each_rule_that_is_exceeded_is_a_reason() -> None:
    usual = RULES.judge((), {"ood": 10.0, "uncertain": 0.5})
    assert (usual.status, usual.reasons, usual.excess) == ("accept", (), 0.0)
    far = RULES.judge((), {"ood": 14.0, "uncertain": 0.6})
    assert far.cells == {"status": "review", "reasons": "ood+uncertain", "ood_score": 14.0, "ood_threshold": 10.0}
    assert far.excess == 2.0, "in SDs of the validation scores, of the rule that is exceeded most"


def test_a_further_reason_sends_to_review_what_was_accepted_and_lifts_no_refusal() -> None:
    fine, dark = (RULES.judge(reasons, {"ood": 0.0, "uncertain": 0.0}) for reasons in ((), ("too_dark",)))
    assert fine.reviewed([]) == fine
    assert (fine.reviewed(["odd"]).status, fine.reviewed(["odd"]).reasons) == ("review", ("odd",))
    assert (dark.reviewed(["odd"]).status, dark.reviewed(["odd"]).reasons) == ("refuse", ("too_dark", "odd"))


def test_raw_pixels_refuse_whatever_the_network_says() -> None:
    assert RULES.judge(("too_dark",), {"ood": 0.0, "uncertain": 0.0}).status == "refuse"
    assert RULES.judge(("too_dark",), {"ood": 11.0, "uncertain": 0.0}).reasons == ("too_dark", "ood")


def test_a_score_that_could_not_be_computed_is_reviewed() -> None:
    assert RULES.judge((), {"ood": 0.0, "uncertain": nan}).reasons == ("uncertain",)
    without = Triage((rule("uncertain", inf),), None)
    assert without.judge((), {"uncertain": nan}).reasons == ("uncertain",)
    assert without.judge((), {"uncertain": 9.0}).status == "accept"
    (said,) = without.shortages
    assert "no image to review for `uncertain`: more than 5% of the validation images have no score." in said


def test_a_rule_of_too_few_images_never_holds_and_says_so() -> None:
    short = Triage((rule("ood", inf, n_images=18),), None)
    assert short.judge((), {"ood": 1e9}).status == "accept"
    (said,) = short.shortages
    assert "no image to review for `ood`: a threshold at 5% needs 19 validation subjects, there are 18." in said
    assert RULES.shortages == []


def test_of_several_members_a_reason_of_half_counts() -> None:
    fine, odd = Judgement("accept", (), -1.0, 5.0, 10.0), Judgement("review", ("ood",), 1.0, 13.0, 9.0)
    assert together([fine, fine, odd]).status == "accept"
    assert together([fine, odd]).cells == {
        "status": "review", "reasons": "ood", "ood_score": 13.0, "ood_threshold": 9.0,
    }  # fmt: skip
    assert together([odd]) == odd
    dark = Judgement("refuse", ("too_dark", "ood"), 1.0, 13.0, 9.0)
    assert together([dark, Judgement("refuse", ("too_dark",), -1.0, 1.0, 9.0)]).status == "refuse"
