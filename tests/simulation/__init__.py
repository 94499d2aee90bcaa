"""The whole runtime on a virtual clock, with a store that fails. One seed determines a run, so it can be repeated."""
