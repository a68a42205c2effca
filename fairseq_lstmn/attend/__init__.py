"""What a trained model attends while it reads lines of text, and how that is shown.

``readers`` make a ``Reading`` of every line, ``outputs`` write readings into files: JSON, a page,
pictures, or a summary of many. Knows models and text; no option of a command.
"""
