"""What every simulated answer carries, so that whoever meets one later can call it so: nothing here simulates anything."""

MARKED = "[simulated: contextual="
"""Every simulated answer holds it, in its text or in a text chunk of its picture."""
JUDGED = "The response's marker says so"
"""Every reason of a simulated judge's verdict begins with it."""
PNG_KEY = "unisafe-simulated"
"""The text chunk of a picture that holds the marker."""
