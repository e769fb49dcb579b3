"""What other tools and the literature call edgeclf's names: one table, for «did you mean».

By the kind of name that `UnknownNameError` carries. Options and settings share a table: `--lr` and `--set lr=0.1` both
mean the learning rate. Of several meanings the first is taken that the command at hand has.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

_SETTINGS: dict[str, tuple[str, ...]] = {
    "learning_rate": ("lr", "lr0", "learn_rate", "base_lr", "rate", "eta"),
    "batch_size": ("bs", "b", "batch", "batchsize", "train_batch_size"),
    "image_size": ("imgsz", "img", "img_size", "imgsize", "image", "input_size", "input_shape", "res", "resolution"),
    "fit": ("resize_mode", "crop_mode", "aspect", "keep_ratio", "letterbox", "rect", "interpolation", "resize"),
    "size": ("imgsz", "resolution", "width_height"),
    "width": ("model_size", "alpha", "width_multiplier", "width_mult", "depth_multiplier"),
    "model": ("arch", "architecture", "network", "net", "backbone", "model_name"),
    "epochs": ("n_epochs", "num_epochs", "max_epochs", "iterations", "steps"),
    "from_run": ("from", "grow", "grow_from", "extend"),
    "weights": ("pretrained", "checkpoint", "ckpt", "weight", "init", "finetune", "base_model"),
    "out": ("name", "project", "output", "output_dir", "outdir", "o", "save_dir", "save", "dest", "exp", "run_name"),
    "overwrite": ("exist_ok", "force", "f", "yes", "replace", "clobber"),
    "resume": ("continue", "restart"),
    "seed": ("random_state", "random_seed"),
    "augment": ("augmentation", "aug", "auto_augment", "transforms"),
    "balance": ("class_weights", "class_weight", "sampler", "imbalance"),
    "weight_decay": ("wd", "decay"),
    "early_stopping": ("patience", "early_stop"),
    "mixed_precision": ("amp", "fp16", "bf16", "half", "precision"),
    "label_smoothing": ("smoothing", "ls"),
    "warmup_epochs": ("warmup", "warm_up"),
    "optimizer": ("optim", "opt", "solver"),
    "trust_model": ("trust", "trust_remote_code", "unsafe", "safe_mode"),
    "float16": ("fp16", "half", "f16"),
    "float32": ("fp32", "f32"),
    "int8": ("quantize", "quant", "ptq", "full_integer", "i8"),
    "int4": ("i4", "w4a8", "four_bits"),
    "qat": ("quantization_aware", "quantization_aware_training"),
    "max_drop": ("max_accuracy_drop", "accuracy_drop", "max_loss", "tolerance"),
    "trials": ("n_trials", "num_trials", "max_trials"),
    "hours": ("timeout", "max_hours", "time_limit"),
    "prune": ("pruning", "sparsity", "sparse"),
    "cluster": ("clusters", "clustering", "weight_clustering"),
    "recipe": ("format", "formats", "type", "target"),
    "calibration": ("calib", "representative", "representative_dataset", "calib_size", "num_calib", "samples"),
    "normalize": ("mean", "std", "normalization", "scale", "rescale", "preprocess", "preprocessing"),
    "input_range": ("range", "normalize", "normalization"),
    "labels": ("names", "class_names", "classes", "label_file", "labelmap", "label_map"),
    "recursive": ("r", "subfolders"),
    "io": ("input_type", "output_type", "inference_input_type", "io_type"),
    "threads": ("num_threads", "n_threads", "t", "workers", "cpus"),
    "runtime": ("device", "backend", "engine", "delegate", "provider"),
    "runs": ("num_runs", "repeat", "repeats", "iterations", "n"),
    "report": ("html", "plots", "save_report"),
    "baseline": ("reference", "float_model", "teacher"),
    "split": ("subset", "partition", "set"),
    "top": ("topk", "top_k", "k"),
    "camera": ("source", "input", "cam", "video", "webcam", "device", "stream"),
    "max_fps": ("fps", "vid_stride"),
    "web": ("port", "http", "host", "serve"),
    "record": ("save", "output", "write", "video_out"),
    "threshold": ("conf", "confidence", "conf_thres", "min_score"),
    "center_crop": ("crop",),
    "roi": ("region", "crop_box"),
    "heatmap": ("cam", "gradcam", "saliency", "overlay"),
    "deep": ("label_errors", "cleanlab", "confident_learning", "learning_curve"),
    "no_window": ("headless", "nosave", "noshow", "show"),
    "data": ("dataset", "data_dir", "data_path", "images_dir", "val_data"),
}


def _turn(table: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return what each alias may mean."""
    meanings: dict[str, tuple[str, ...]] = {}
    for name, aliases in table.items():
        for alias in aliases:
            meanings[alias] = (*meanings.get(alias, ()), name)
    return meanings


ALIASES: dict[str, dict[str, tuple[str, ...]]] = {
    "setting": _turn(_SETTINGS),
    "command": _turn(
        {
            "compress": ("export", "convert", "quantize", "quantise", "optimize", "prune", "tflite"),
            "bench": ("benchmark", "val", "validate", "eval", "evaluate", "test", "profile", "measure"),
            "train": ("fit", "finetune", "fine-tune", "learn", "retrain"),
            "tune": ("search", "hpo", "sweep", "optuna", "hyperparameters", "tuner", "automl"),
            "predict": ("classify", "infer", "inference", "detect", "label", "run"),
            "explain": ("gradcam", "grad-cam", "cam", "heatmap", "heatmaps", "saliency", "attribution", "why"),
            "live": ("stream", "camera", "webcam", "serve", "watch", "track"),
            "refit": ("calibrate", "recalibrate", "temperature", "threshold"),
            "inspect": ("info", "show", "summary", "describe", "analyze", "metadata"),
            "compare": ("diff", "versus", "vs", "mcnemar", "ab"),
            "verify": ("check-model", "selftest", "validate-model"),
            "collected": ("collect", "sort", "annotate", "review"),
            "audit": ("check", "lint", "stats", "data", "dataset", "clean", "explore"),
        }
    ),
    "split": _turn(
        {
            "validation": ("val", "valid", "dev", "eval", "validate"),
            "test": ("testing", "holdout", "tst", "hold_out"),
            "train": ("training", "tr", "trn", "fit"),
        }
    ),
    "quantity": _turn(
        {
            "top1": ("accuracy", "acc", "top_1", "acc1"),
            "drop": ("loss", "accuracy_drop", "acc_drop", "top1_drop", "difference"),
            "class_drop": ("worst_class", "worst_class_drop", "class_loss"),
            "class_top1": ("worst_class_top1", "class_accuracy", "recall"),
            "flipped": ("flips", "changed", "disagreement", "churn"),
            "latency": ("median", "time", "ms", "p50", "speed"),
            "size": ("bytes", "file", "file_size", "model_size"),
            "memory": ("ram", "peak_memory", "rss"),
            "macs": ("flops", "mac", "madds"),
            "parameters": ("params", "weights"),
        }
    ),
    "augment": _turn(
        {
            "none": ("off", "no", "false", "0"),
            "standard": ("default", "medium", "normal", "on", "true", "auto"),
            "strong": ("heavy", "hard", "randaugment", "trivialaugment"),
            "strongest": ("maximum", "max", "full"),
            "light": ("weak", "simple", "basic"),
        }
    ),
    "balance": _turn(
        {
            "over": ("oversample", "oversampling", "up"),
            "under": ("undersample", "undersampling", "down"),
            "weights": ("weighted", "balanced", "class_weight", "class_weights", "loss"),
            "none": ("off", "no", "false"),
        }
    ),
    "runtime": _turn(
        {
            "litert": ("tflite", "ai-edge-litert", "default", "cpu", "lite"),
            "tensorflow": ("tf", "keras", "tf.lite"),
            "tflite-runtime": ("tflite_runtime", "tfliteruntime"),
        }
    ),
    "fit": _turn(
        {
            "stretch": ("squash", "squish", "resize", "fill", "none", "exact"),
            "crop": ("center_crop", "centre_crop", "centercrop", "center", "cover", "cut"),
            "pad": ("letterbox", "letterboxed", "padding", "contain", "keep_aspect", "keep_ratio"),
        }
    ),
    "optimizer": _turn({"sgd": ("momentum", "nesterov"), "adamw": ("adam_w",)}),
}
ALIASES["option"] = ALIASES["setting"]

REMARKS = {
    "device": "TensorFlow takes the GPU where it sees one; CUDA_VISIBLE_DEVICES=-1 before the command keeps it off",
    "gpu": "TensorFlow takes the GPU where it sees one; CUDA_VISIBLE_DEVICES=-1 before the command keeps it off",
    "gpus": "TensorFlow takes all GPUs that it sees; CUDA_VISIBLE_DEVICES=0 before the command chooses one",
    "cpu": "CUDA_VISIBLE_DEVICES=-1 before the command keeps TensorFlow off the GPU",
    "workers": "batches are prepared beside the training; there is nothing to set",
    "cache": "decoded images are always kept; EDGECLF_CACHE before the command chooses where",
    "data": "the data are named without an option, right after the command",
    "source": "what it works on is named without an option, right after the command",
}
"""Options that other tools have and edgeclf's command has not, and what there is instead."""


def find_nearest(kind: str, name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is meant, by the table of aliases, else by its letters; None: none is like it.

    Args:
        kind: of the name, such as `setting` or `split`.
        name: as typed; dashes and underscores are alike.
        known: to choose from, as they are typed.
    """
    choices = list(known)
    for candidate in ALIASES.get(kind, {}).get(_plain(name)) or ALIASES.get(kind, {}).get(name.lower(), ()):
        for choice in choices:
            if _plain(choice) == _plain(candidate):
                return choice
    near = difflib.get_close_matches(name.lower(), choices, n=1)
    return near[0] if near else None


def _plain(name: str) -> str:
    return name.lower().lstrip("-").replace("-", "_")
