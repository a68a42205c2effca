"""Where a decoder keeps its layers' tapes between calls.

B batch, P slots, H hidden width.
"""

from fairseq_lstmn.ops import Tape

KEY = "tape_{}"


def load_tapes(decoder, incremental_state, layers):
    """The tapes that stand in fairseq's ``incremental_state``, one a layer; None at the start."""
    saved = [
        decoder.get_incremental_state(incremental_state, KEY.format(k)) for k in range(layers)
    ]
    return None if saved[0] is None else [Tape(**tape) for tape in saved]


def save_tapes(decoder, incremental_state, tapes):
    """Put ``tapes`` where ``load_tapes`` finds them."""
    for k, tape in enumerate(tapes):
        decoder.set_incremental_state(incremental_state, KEY.format(k), tape._asdict())


class CarriedTapes:
    """The latest slots of each layer's tape, handed from a batch to the one that continues it.

    Kept apart for training and evaluation, so that a validation run in the middle of an epoch
    leaves the training text's tapes alone. Not part of a checkpoint: after a resume in the
    middle of an epoch the first batch starts with empty tapes.
    """

    def __init__(self, slots):
        self.slots = slots
        self.tapes = {}

    def take(self, training, rows):
        """Tapes for the first ``rows`` rows (streams end from the last row on); None if none."""
        carried = self.tapes.get(training)
        if carried is None or carried[0].hidden.size(0) < rows:
            return None
        return [tape.map(lambda part: part[:rows]) for tape in carried]

    def keep(self, training, tapes):
        """Keep the latest slots of ``tapes``, cut off from the graph that made them."""
        self.tapes[training] = [
            tape.latest(self.slots).map(lambda part: part.detach()) for tape in tapes
        ]
