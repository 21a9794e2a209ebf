"""400 cells of frozen heads against one cold pass over both backbones, whole processes.

    python benchmarks/cells.py [--turns 3]

Five heads, four sizes, ten draws, two backbones on hymenoptera; the features are computed anew in
both, for each turn has homes of its own. At most 3 times is wanted.
"""

import argparse
import tempfile
from pathlib import Path

from places import DATA, timed

BACKBONES = ("mobilenet_v2", "mobilenetv1_100")
HEADS = ("logistic", "svm", "ridge", "centroid", "lda")
HEADSTART = ("-m", "headstart")
SHOTS = (4, 8, 32, 64)


def main() -> None:
    """Measure both in turns, print each ratio and the best."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    pictures = str(DATA / "hymenoptera")
    cells = [*HEADSTART, "compare", pictures, "--backbones", ",".join(BACKBONES), "--draws", "10"]
    cells += ["--strategies", ",".join(f"frozen:{head}" for head in HEADS)]
    cells += ["--shots", ",".join(map(str, SHOTS))]
    features = [*HEADSTART, "features", pictures, "--backbone"]
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(turns):
            at = Path(folder) / str(turn)
            passes = [[*features, name, "--out", f"{at}-{name}.parquet"] for name in BACKBONES]
            cold = sum(timed(one, Path(f"{at}-pass"))[0] for one in passes)
            compared, _ = timed([*cells, "--out", f"{at}-compared"], Path(f"{at}-home"))
            ratios.append(compared / cold)
            print(f"pass {cold:.1f} s, 400 cells {compared:.1f} s: {ratios[-1]:.2f}", flush=True)
    print(f"best of {turns}: {min(ratios):.2f}")


if __name__ == "__main__":
    main()
