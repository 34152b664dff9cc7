"""Odd inputs of every kind that the program takes, given to the real commands."""
