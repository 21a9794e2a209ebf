"""The usual loop: torchvision model frozen, its head trained by SGD, eager forward each epoch.

usage: usual_loop.py DATA WEIGHTS [EPOCHS]
"""

import json
import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torchvision import transforms


def main() -> None:
    data, weights = map(Path, sys.argv[1:3])
    epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 10
    facts = json.loads(weights.with_suffix(".json").read_text())
    normal = transforms.Normalize([0.5] * 3, [0.5] * 3)
    ways = {
        "train": [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()],
        "val": [transforms.Resize(256), transforms.CenterCrop(224)],
    }
    sets = {
        name: torchvision.datasets.ImageFolder(
            data / name, transforms.Compose([*way, transforms.ToTensor(), normal])
        )
        for name, way in ways.items()
    }
    loaders = {
        name: torch.utils.data.DataLoader(s, 32, shuffle=name == "train", num_workers=2)
        for name, s in sets.items()
    }
    model = torchvision.models.get_model(facts["architecture"], weights=None)
    model.load_state_dict(load_file(weights))
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.classifier[1] = torch.nn.Linear(1280, len(sets["train"].classes))
    optimiser = torch.optim.SGD(model.classifier[1].parameters(), lr=1e-3, momentum=0.9)
    accuracy = 0.0
    for _ in range(epochs):
        model.train()
        for x, y in loaders["train"]:
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
        model.eval()
        right = 0
        with torch.no_grad():
            for x, y in loaders["val"]:
                right += int((model(x).argmax(1) == y).sum())
        accuracy = right / len(sets["val"])
    print(f"{accuracy:.4f}")


if __name__ == "__main__":
    main()
