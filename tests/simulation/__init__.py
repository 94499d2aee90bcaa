"""The whole runtime on a virtual clock, with a store that fails: everything follows from one seed, and replays."""
