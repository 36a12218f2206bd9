"""Which controls a tube looks at: of its draw, of its batch, of the batch acquired nearest in time."""

from __future__ import annotations

from cytotrial.steps.pairing import pair
from cytotrial.terms import Role, Tube

FOXP3 = ("fmo", "FOXP3")


def sample(batch: str = "B2") -> Tube:
    return Tube("S", "s.fcs", "treg", Role.SAMPLE, batch, subject="S1", specimen="S1.W1")


def fmo(name: str, batch: str, *, specimen: str = "", marker: str = "FOXP3") -> Tube:
    subject = "S1" if specimen else ""
    return Tube(
        name, "c.fcs", "treg", Role.FMO, batch, subject=subject, specimen=specimen, control_for=marker
    )


def paired(
    *controls: Tube, dates: dict[str, str] | None = None
) -> dict[tuple[str, str], tuple[str, list[str]]]:
    found = pair(sample(), controls, dates or {})
    return {key: (how, [tube.sample_id for tube in tubes]) for key, (how, tubes) in found.items()}


def test_the_draws_own_control_comes_before_the_batchs():
    assert paired(fmo("C1", "B2"), fmo("C2", "B2", specimen="S1.W1")) == {FOXP3: ("draw", ["C2"])}


def test_a_control_of_another_draw_is_nobodys_but_its_own():
    assert paired(fmo("C1", "B2", specimen="S9.W1")) == {}


def test_all_controls_of_the_batch_are_taken_and_each_marker_on_its_own():
    found = paired(fmo("C2", "B2"), fmo("C1", "B2"), fmo("C3", "B2", marker="CD25"), fmo("C4", "B1"))
    assert found == {FOXP3: ("batch", ["C1", "C2"]), ("fmo", "CD25"): ("batch", ["C3"])}


def test_without_a_control_of_the_batch_the_one_acquired_nearest_in_time_is_taken():
    dates = {"S": "2024-03-10T09:00", "C1": "2024-03-01", "C3": "2024-03-15"}
    assert paired(fmo("C1", "B1"), fmo("C3", "B3"), dates=dates) == {FOXP3: ("nearest", ["C3"])}


def test_of_two_that_are_equally_near_the_earlier_is_taken():
    dates = {"S": "2024-03-10", "C1": "2024-03-08", "C3": "2024-03-12"}
    assert paired(fmo("C3", "B3"), fmo("C1", "B1"), dates=dates) == {FOXP3: ("nearest", ["C1"])}


def test_a_batch_whose_date_is_not_known_is_near_to_none():
    assert paired(fmo("C1", "B1"), dates={"S": "2024-03-10"}) == {}


def test_an_unstimulated_tube_is_named_by_its_role_alone():
    partner = Tube("U", "u.fcs", "th17", Role.UNSTIMULATED, "B2", subject="S1", specimen="S1.W1")
    assert paired(partner) == {("unstimulated", ""): ("draw", ["U"])}
