import re
from pathlib import Path

import pytest

from forecasting.findings import Rule
from forecasting.prices.audit import rules

DOCS = Path(__file__).parents[4] / "docs/audit.md"


def test_each_rule_is_in_the_table_under_its_own_code() -> None:
    defined = [rule for rule in vars(rules).values() if isinstance(rule, Rule)]
    assert sorted(rules.RULES.values(), key=lambda rule: rule.code) == sorted(
        defined, key=lambda rule: rule.code
    )


def test_the_design_names_one() -> None:
    assert rules.RULES["P003"].name == "duplicate bar"


@pytest.mark.parametrize("rule", rules.RULES.values(), ids=rules.RULES)
def test_the_docs_explain_each_code(rule: Rule) -> None:
    row = rf"^\| {rule.code} \| {re.escape(rule.name)} \| {rule.severity} \|"
    assert re.search(row, DOCS.read_text(), re.MULTILINE)


@pytest.mark.parametrize("rule", rules.RULES.values(), ids=rules.RULES)
def test_each_code_is_explained_in_one_line(rule: Rule) -> None:
    assert 10 < len(rule.explanation) < 100
    assert "\n" not in rule.explanation


def test_no_code_is_given_twice() -> None:
    assert len(rules.RULES) == len([rule for rule in vars(rules).values() if isinstance(rule, Rule)])
