"""SetFit on given draws of a text set; runs in the environment that `peer_setfit.py` makes.

Trains once a draw and answers the test texts; prints one JSON line a draw. "frozen" is the same
encoder as it came, with scikit-learn's logistic regression. Seconds are of training only: neither
loading nor answering counts.

usage: plain_setfit.py JOB    (a JSON file: model, steps, batch, draws, test)
"""

import json
import logging
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments
from sklearn.linear_model import LogisticRegression

VERSIONS = {
    name: version(name)
    for name in ("setfit", "sentence-transformers", "transformers", "torch", "scikit-learn")
}


class Clock:
    """Wall clock and processor time of this process, all threads, since it was made."""

    def __init__(self) -> None:
        self.start = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        wall, cpu = self.start
        return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


def load(folder: str) -> SetFitModel:
    return SetFitModel.from_pretrained(folder, device="cpu", local_files_only=True)


def setfit(job: dict, train: dict, test: dict, folder: str) -> dict:
    model = load(job["model"])
    settings = TrainingArguments(
        output_dir=folder,
        batch_size=job["batch"],
        max_steps=job["steps"],
        seed=train["draw"],
        show_progress_bar=False,
        save_strategy="no",
        report_to="none",
    )
    data = Dataset.from_dict({"text": train["texts"], "label": train["labels"]})
    trainer = Trainer(model=model, args=settings, train_dataset=data)
    clock = Clock()
    trainer.train()
    times = clock.read()
    answers = model.predict(test["texts"], as_numpy=True, show_progress_bar=False)
    steps = trainer.st_trainer.state.global_step
    return {"accuracy": float(np.mean(answers == test["labels"])), "steps": steps, **times}


def frozen(body, train: dict, test: np.ndarray, labels: list[int]) -> dict:
    clock = Clock()
    vectors = body.encode(train["texts"], show_progress_bar=False)
    head = LogisticRegression(max_iter=1000).fit(vectors, train["labels"])
    times = clock.read()
    return {"accuracy": float(head.score(test, labels)), **times}


def main() -> None:
    # Warnings stay out of the lines; errors do not.
    warnings.simplefilter("ignore")
    logging.getLogger("setfit").setLevel(logging.ERROR)
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    test = job["test"]
    body = load(job["model"]).model_body
    vectors = body.encode(test["texts"], show_progress_bar=False)
    with tempfile.TemporaryDirectory() as folder:
        for train in job["draws"]:
            line = {
                "draw": train["draw"],
                "n_train": len(train["labels"]),
                "n_test": len(test["labels"]),
                "setfit": setfit(job, train, test, folder),
                "frozen": frozen(body, train, vectors, test["labels"]),
                "versions": VERSIONS,
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
