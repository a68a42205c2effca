"""What a trained model attends while it reads lines of text, and how that is shown.

``readers`` make a ``Reading`` of every line, of what ``recording`` saw of the model; ``record``,
``page``, ``figures`` and ``summary`` write readings into files. Knows no option of a command.
"""
