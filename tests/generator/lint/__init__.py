"""Tests of the rules for specs: each refused or reported spec with the place, the reason, and the advice."""
