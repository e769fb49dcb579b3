"""Runs in a Python with MediaPipe: the labels that its ImageClassifier gives for image files.

    python mediapipe_client.py MODEL LIST

LIST has a path a line. Prints one JSON list of [label, index, score, labels in order].
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import mediapipe
from mediapipe.tasks import python as tasks
from mediapipe.tasks.python import vision


def main() -> None:
    model, listed = Path(sys.argv[1]), Path(sys.argv[2])
    options = vision.ImageClassifierOptions(
        base_options=tasks.BaseOptions(model_asset_buffer=model.read_bytes()),
        running_mode=vision.RunningMode.IMAGE,
        max_results=-1,
    )
    answers = []
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for line in listed.read_text(encoding="utf-8").splitlines():
            pixels = cv2.cvtColor(cv2.imread(line), cv2.COLOR_BGR2RGB)
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
            found = classifier.classify(image).classifications[0].categories
            answers.append([found[0].category_name, found[0].index, found[0].score, [c.category_name for c in found]])
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
