"""Run by test_trackers: print as JSON what TensorBoard finds in a folder."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

if __name__ == "__main__":
    found = EventAccumulator(sys.argv[1]).Reload()
    tags = found.Tags()
    print(json.dumps({"scalars": tags["scalars"], "texts": tags["tensors"]}))
