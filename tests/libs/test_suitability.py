import pytest

from libs.suitability import InvestorClass, RiskLevel, Suitability, highest_level, suitability

# funds.md section 12: one row a class, R1 to R5; B buy, W warn, N never.
TABLE = {
    InvestorClass.C1_MINIMUM: "BNNNN",
    InvestorClass.C1: "BWWWW",
    InvestorClass.C2: "BBWWW",
    InvestorClass.C3: "BBBWW",
    InvestorClass.C4: "BBBBW",
    InvestorClass.C5: "BBBBB",
    InvestorClass.PROFESSIONAL: "BBBBB",
}


@pytest.mark.parametrize("investor_class", InvestorClass)
def test_the_table_of_classes_and_levels_is_the_reference_s(investor_class: InvestorClass) -> None:
    row = "".join(suitability(investor_class, level).value[0] for level in RiskLevel)
    assert row == TABLE[investor_class]


@pytest.mark.parametrize("investor_class", InvestorClass)
def test_the_highest_level_is_the_last_that_needs_no_warning(investor_class: InvestorClass) -> None:
    bought = [lvl for lvl in RiskLevel if suitability(investor_class, lvl) is Suitability.BUY]
    assert highest_level(investor_class) is bought[-1]
