import re
from pathlib import Path

import pytest

from forecasting.findings import Rule
from forecasting.prices.audit import rules

DOCS = Path(__file__).parents[4] / "docs/prices.md"


def test_each_rule_is_in_the_table_under_its_own_code() -> None:
    defined = [rule for rule in vars(rules).values() if isinstance(rule, Rule)]
    assert sorted(rules.RULES.values(), key=lambda rule: rule.code) == sorted(
        defined, key=lambda rule: rule.code
    )


def test_the_design_names_one() -> None:
    assert rules.RULES["P003"].name == "duplicate bar"


@pytest.mark.parametrize("rule", rules.RULES.values(), ids=rules.RULES)
def test_the_docs_explain_each_code(rule: Rule) -> None:
    assert re.search(rf"^\| {rule.code} \| {re.escape(rule.name)} \|", DOCS.read_text(), re.MULTILINE)
