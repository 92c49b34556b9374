"""The words of the code: first lines begin with a verb, riddles and unclear names stay out."""

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src/sightline"
FILES = sorted(SOURCE.rglob("*.py"))
SCRIPTS = sorted(SOURCE.rglob("*.js"))
FOUND = re.compile(
    r"(?:const|let|var|function)\s+found\b|[(,]\s*found\s*[,)]|\bfound\s*=|\.found\b"
)

# Imperative verbs that may begin a docstring. Add one that is missing, in the order of the
# alphabet; "Give" stays out where "Return" or "Yield" is meant.
_VERBS = """
    Accept Add Adjust Align Answer Append Apply Arrange Assign Attach Augment Average
    Backpropagate Batch Begin Bind Bound Bring Broadcast Build Cache Call Centre Chain Change
    Check Choose Classify Clip Close Collect Combine Compare Compile Complete Compute
    Concatenate Connect Convert Copy Count Create Crop Cut Decay Decide Decode Deduplicate
    Define Delete Deploy Derive Descend Describe Detect Distil Divide Do Download Draw Drop
    Encode End Ensure Estimate Evaluate Examine Expand Explain Export Extract Feed Fetch Fill
    Filter Find Fingerprint Fit Flatten Flip Fold Follow Forget Format Freeze Gather Generate
    Go Grade Group Guess Halve Handle Hold Ignore Implement Import Infer Initialise Insert
    Interpolate Iterate Join Keep Label Learn Leave Let Limit Link List Listen Load Lock Log
    Look Lower Make Map Mark Match Measure Merge Minimise Mirror Mix Move Multiply Name
    Normalise Note Number Open Order Pack Pad Parse Part Partition Pass Pause Permute Pick
    Place Plot Pool Predict Prepare Preprocess Print Project Propose Provide Put Quantise
    Quote Raise Rank Read Receive Record Reduce Refuse Register Regularise Release Reload
    Remove Rename Render Replace Report Represent Resample Reserve Reset Reshape Resize
    Resolve Restart Restore Resume Return Reuse Rotate Round Route Run Sample Save Say Scale
    Schedule Search Segment Select Send Serve Set Shift Show Shrink Shuffle Silence Simulate
    Skip Solve Sort Split Squeeze Stack Stamp Standardise Start Step Stop Store Stream
    Subtract Sum Swap Switch Take Tell Test Time Tint Tokenise Trace Train Try Tune Turn Undo
    Unpack Update Upload Use Validate Verify Visit Wait Walk Warn Watch Weigh Wrap Write Yield
    Zero
"""
VERBS = frozenset(_VERBS.split())

# Sentences that nobody understood, and words that have another meaning here.
RIDDLES = (
    "in nothing but tensors",
    "give every mode at a rate",
    "only as it was when its digest was written here",
    "make what is known before any data",
    "and a last resort",
    "at a share of the highest rate",
    "graphics card",
)


# Files that still have something named `found`.
def name_of(path):
    return path.relative_to(SOURCE).as_posix()


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def first_words(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, text.split(maxsplit=1)[0].rstrip(".,:;"), text


def names_in(tree):
    """Variables, fields, parameters, attributes and functions, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_docstrings_begin_with_a_verb(path):
    odd = [
        f"{line}: {text!r}" for line, word, text in first_words(tree_of(path)) if word not in VERBS
    ]
    assert not odd


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_riddle_is_left(path):
    text = " ".join(path.read_text(encoding="utf-8").lower().split())
    assert not [riddle for riddle in RIDDLES if riddle in text]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_named_found(path):
    assert not [line for line, name in names_in(tree_of(path)) if name == "found"]


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_nothing_of_the_page_is_named_found(path):
    assert not FOUND.findall(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "line", ["const found = 1", "let found", "(a, found) => a", "found => 1", "this.found.x"]
)
def test_a_vague_name_of_a_script_is_seen(line):
    assert FOUND.findall(line)
    assert not FOUND.findall('// the face that was found\nsay("not found")')


def test_a_noun_a_riddle_and_a_vague_name_are_seen():
    tree = ast.parse('def f():\n    """Labels of a split."""\n    found = 1\n    return found\n')
    assert [word for _, word, _ in first_words(tree)] == ["Labels"]
    assert "Labels" not in VERBS
    assert "Give" not in VERBS
    assert list(names_in(tree)) == [(1, "f"), (3, "found")]


@pytest.mark.parametrize(
    "source",
    [
        "found: int = 1",
        "def f(found): pass",
        "def f(*, found=1): pass",
        "lambda found: 1",
        "self.found = 1",
        "print(self.found)",
        "[1 for found in ()]",
        "if found := 1: pass",
        "def found(): pass",
    ],
)
def test_a_vague_name_is_seen_wherever_it_stands(source):
    assert "found" in {name for _, name in names_in(ast.parse(source))}
