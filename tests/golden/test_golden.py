"""Every case of every golden file."""

import pytest

from dlc.errors import DlcError
from dlc.passes.table import ALL_PASSES
from tests.golden.golden import FOLDER, GoldenCase, all_cases, cases_of, check_case, check_file


@pytest.mark.parametrize("case", all_cases(), ids=str)
def test_case(case: GoldenCase) -> None:
    check_case(case)


@pytest.mark.parametrize("case", all_cases(FOLDER / "passes"), ids=str)
def test_a_case_of_a_pass_says_what_must_come_out(case: GoldenCase) -> None:
    assert case.has_checks or case.errors
    assert case.passes


@pytest.mark.parametrize("case", all_cases(FOLDER / "invalid"), ids=str)
def test_an_invalid_case_says_what_is_wrong(case: GoldenCase) -> None:
    assert case.errors


def test_files_of_passes_are_named_after_them() -> None:
    names = {each.name for each in ALL_PASSES}
    unknown = [path.name for path in (FOLDER / "passes").glob("*.dlc") if path.stem not in names]
    assert not unknown


# -- the runner itself: a check that cannot fail checks nothing -------------------------------------------------------

TEXT = """// dlc-level: graph
module @m {
  func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = graph.relu(%x) : (tensor<4xf32>) -> tensor<4xf32>
    func.return(%y) : (tensor<4xf32>) -> ()
  }
}
// CHECK: graph.relu
// -----
module @m {
  func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    func.return(%x) : (tensor<4xf32>) -> ()
  }
}
// CHECK-NOT: graph.relu
"""


def cases_of_text(tmp_path, text):
    path = tmp_path / "sample.dlc"
    path.write_text(text)
    return [GoldenCase(FOLDER / "sample.dlc", c.line, c.text, c.settings, c.errors) for c in cases_of(path)]


def test_cases_know_their_line_and_the_settings_of_the_file(tmp_path):
    cases = cases_of_text(tmp_path, TEXT)
    assert [case.line for case in cases] == [1, 10]
    assert [case.settings for case in cases] == [{"dlc-level": "graph"}] * 2
    for case in cases:
        check_case(case)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("CHECK: graph.relu", "CHECK: graph.tanh"),
        ("CHECK-NOT: graph.relu", "CHECK-NOT: func.return"),
        ("-> tensor<4xf32>\n    func", "-> tensor<5xf32>\n    func"),
        ("dlc-level: graph", "dlc-level: loop"),
        ("// CHECK: graph.relu", "// ERROR: relu"),
    ],
)
def test_a_case_that_is_wrong_fails(tmp_path, old, new):
    assert old in TEXT
    with pytest.raises((AssertionError, DlcError)):
        for case in cases_of_text(tmp_path, TEXT.replace(old, new)):
            check_case(case)


@pytest.mark.parametrize("errors", ["// ERROR: not defined\n// ERROR: more\n", "// ERROR: something else\n"])
def test_messages_and_error_lines_must_match_one_to_one(tmp_path, errors):
    broken = TEXT.split("// -----")[0].replace("(%x) :", "(%z) :").replace("// CHECK: graph.relu\n", errors)
    with pytest.raises(AssertionError, match="expected"):
        check_case(cases_of_text(tmp_path, broken)[0])


def test_file_check_says_what_it_did_not_find(tmp_path):
    case = cases_of_text(tmp_path, "// CHECK: apple\n")[0]
    with pytest.raises(AssertionError, match="apple"):
        check_file(case, "pear\n")
