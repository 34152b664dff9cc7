"""Gives odd inputs of every kind that the program takes to the real commands."""
