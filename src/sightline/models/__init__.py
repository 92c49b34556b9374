"""The mathematics: arrays and tensors in and out; no files, no data sets."""
