"""`report --html`: a run as one self-contained file that opens offline."""
