"""Train the digits network again and write digits.onnx, samples.npz and training.json beside this file.

Only for retraining: needs torch, scikit-learn and onnx; running the example does not. The samples are the handwritten
digits that scikit-learn bundles (1,797 real scans of 8x8 pixels, UCI "Optical Recognition of Handwritten Digits").
"""

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = Path(__file__).resolve().parent
SEED = 7
EPOCHS = 40
HELD_OUT = 360
SHIPPED = 200
WHITE = 16.0  # the scans hold 0..16


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 10),
    )


def train(model: nn.Sequential, images: torch.Tensor, labels: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    model.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            loss_of(model(images[batch]), labels[batch]).backward()
            optimizer.step()
        schedule.step()
    model.eval()


def export(model: nn.Sequential, path: Path) -> None:
    torch.onnx.export(
        model,
        (torch.zeros(1, 1, 8, 8),),
        str(path),
        opset_version=17,
        input_names=["image"],
        output_names=["scores"],
        dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}},
        dynamo=False,
        do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE,  # keeps the batch norms, which the exporter would fold away
    )
    onnx.checker.check_model(onnx.load(path), full_check=True)


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    digits = load_digits()
    images = (digits.images[:, None] / WHITE).astype(np.float32)
    labels = digits.target.astype(np.int64)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=HELD_OUT, random_state=SEED, stratify=labels
    )
    model = network()
    train(model, torch.from_numpy(train_images), torch.from_numpy(train_labels))
    with torch.no_grad():
        guesses = model(torch.from_numpy(test_images)).argmax(1).numpy()
    accuracy = float((guesses == test_labels).mean())
    export(model, HERE / "digits.onnx")
    np.savez_compressed(HERE / "samples.npz", images=test_images[:SHIPPED], labels=test_labels[:SHIPPED])
    record = {
        "training_samples": len(train_images),
        "held_out_samples": len(test_images),
        "held_out_accuracy": round(accuracy, 4),
        "shipped_samples": SHIPPED,
        "shipped_accuracy": round(float((guesses == test_labels)[:SHIPPED].mean()), 4),
    }
    (HERE / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
