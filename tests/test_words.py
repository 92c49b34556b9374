"""The words of the code: first lines begin with a verb, riddles and unclear names stay out."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src/sightline"
FILES = sorted(SOURCE.rglob("*.py"))

# Imperative verbs that may begin a docstring. Add one that is missing, in the order of the
# alphabet; "Give" stays out where "Return" or "Yield" is meant.
_VERBS = """
    Accept Add Adjust Align Answer Append Apply Arrange Assign Attach Augment Average
    Backpropagate Batch Begin Bind Bound Bring Broadcast Build Cache Call Centre Chain Change
    Check Choose Classify Clip Close Collect Combine Compare Compile Complete Compute
    Concatenate Connect Convert Copy Count Create Crop Cut Decay Decide Decode Deduplicate
    Define Delete Deploy Derive Descend Describe Detect Distil Divide Do Download Draw Drop
    Encode End Ensure Estimate Evaluate Examine Expand Explain Export Extract Feed Fetch Fill
    Filter Find Fingerprint Fit Flatten Flip Fold Forget Format Freeze Gather Generate Go Group
    Guess Halve Handle Hold Ignore Implement Import Infer Initialise Insert Interpolate Iterate
    Join Keep Label Learn Leave Let Limit Link List Listen Load Lock Log Look Lower Make Map
    Mark Match Measure Merge Minimise Mirror Mix Move Multiply Name Normalise Note Number Open
    Order Pack Pad Parse Part Partition Pass Pause Permute Pick Place Plot Pool Predict Prepare
    Preprocess Print Project Provide Put Quantise Quote Raise Rank Read Receive Record Reduce
    Refuse Register Regularise Release Reload Remove Rename Render Replace Report Represent
    Resample Reserve Reset Reshape Resize Resolve Restart Restore Resume Return Reuse Rotate
    Round Route Run Sample Save Say Scale Schedule Search Select Send Serve Set Shift Show
    Shrink Shuffle Silence Skip Solve Sort Split Squeeze Stack Stamp Standardise Start Step Stop
    Store Stream Subtract Sum Swap Switch Take Tell Test Time Tint Tokenise Trace Train Try Tune
    Turn Undo Unpack Update Upload Use Validate Verify Visit Wait Walk Warn Watch Weigh Wrap
    Write Yield Zero
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

# Files that still have a local variable named `found`.
STILL_FOUND = frozenset(
    f"{name}.py"
    for name in (
        "data/dataset", "data/load", "data/store", "estimators/classify",
        "estimators/classify_network", "training/feed",
    )
)  # fmt: skip


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


def variables(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id


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
def test_no_variable_is_named_found(path):
    if name_of(path) not in STILL_FOUND:
        assert not [line for line, name in variables(tree_of(path)) if name == "found"]


def test_a_noun_a_riddle_and_a_vague_name_are_seen():
    tree = ast.parse('def f():\n    """Labels of a split."""\n    found = 1\n    return found\n')
    assert [word for _, word, _ in first_words(tree)] == ["Labels"]
    assert "Labels" not in VERBS
    assert "Give" not in VERBS
    assert list(variables(tree)) == [(3, "found")]
