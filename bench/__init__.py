"""Measurements on the KWOK variant; `python -m bench` prints them and writes bench/results/."""
