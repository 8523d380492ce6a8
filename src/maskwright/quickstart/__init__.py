"""The main job in a few minutes, on text that is already on the user's machine."""
