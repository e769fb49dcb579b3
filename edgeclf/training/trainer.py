"""The training loop: one `model.fit` an epoch, a checkpoint after each; validation chooses the network that is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import tf_keras

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset.types import Dataset
from edgeclf.errors import InputError
from edgeclf.graph.private_apis import restart_averages
from edgeclf.measure.formatting import counted, percent
from edgeclf.progress import Progress
from edgeclf.training.callbacks import (
    HistoryFile,
    KerasCallback,
    ProgressNote,
    TensorBoardLog,
    TrainingCallback,
    is_keras_callback,
)
from edgeclf.training.checkpoint import TrainingState, load_checkpoint, read_state, save_checkpoint
from edgeclf.training.config import TrainConfig
from edgeclf.training.curriculum import augmentation_at, image_size_at
from edgeclf.training.distribution import Devices
from edgeclf.training.divergence import check_loss
from edgeclf.training.dropout import reset_dropout
from edgeclf.training.epoch_choice import within_chance
from edgeclf.training.freezing import freeze_first
from edgeclf.training.head import fit_head
from edgeclf.training.keras_callbacks import KerasCallbacks, StepProgress
from edgeclf.training.muon import find_turned
from edgeclf.training.objective import Objective
from edgeclf.training.optimizers import OptimizerSettings, average_weights, build_optimizer, layer_factors
from edgeclf.training.pipeline import TrainingBatches, WorkerPart
from edgeclf.training.schedule import WarmupCosine

Row = dict[str, Any]


@dataclass(frozen=True)
class Trainer:
    """Trains one network into a run folder.

    Args:
        config: complete.
        dataset: with the splits `train` and `validation`.
        objective: what is learned.
        batches: of the training split.
        devices: to train on.
        build: makes the network that learns, freshly initialized or from pretrained weights.
        plain: the same network as one device runs it, in float32 and with a fixed input size: it takes the weights of
            each epoch, is validated, and goes into the run folder as the objective leaves it.
        folder: the run folder.
        progress: where bars are shown.
        callbacks: called after each epoch, on every worker; those of tf-keras whenever Keras calls them.
    """

    config: TrainConfig
    dataset: Dataset
    objective: Objective
    batches: TrainingBatches
    devices: Devices
    build: Callable[[], tf_keras.Model]
    plain: tf_keras.Model
    folder: RunFolder
    progress: Progress
    callbacks: Sequence[TrainingCallback | KerasCallback] = ()

    @property
    def schedule(self) -> WarmupCosine:
        """Learning rate by step."""
        config, steps = self.config, self.batches.steps
        warmup = round((config.warmup_epochs or 0) * steps)
        return WarmupCosine(config.learning_rate or 0.1, (config.epochs or 1) * steps, warmup)

    def run(self) -> TrainingState:
        """Train to the end, from the checkpoint where there is one.

        Raises:
            DivergedError: the loss became NaN or infinite.
        """
        keras = self._keras_callbacks()
        with self.devices.strategy.scope():
            model = self._compile_network(settable_rate=keras is not None)
        checkpoint = self.folder.checkpoint_path
        state = load_checkpoint(checkpoint, model) if checkpoint.is_file() else self._fit_head(model)
        epochs, first = self.config.epochs or 1, state.epoch
        if first:
            self.progress.info(f"resuming after epoch {first} of {epochs}")
        images = self.batches.effective_batch_size
        total = (epochs - first) * self.batches.steps * images
        with (
            self.progress.task("training (images)", total) as task,
            TensorBoardLog(self.folder.logs_path) as log,
        ):
            note = ProgressNote(task, epochs, images)
            files = (HistoryFile(self.folder, state.history), log) if self.devices.worker == 0 else ()
            own = [cast(TrainingCallback, one) for one in self.callbacks if not is_keras_callback(one)]
            session = _Session(model, note, (note, *files, *own), keras)
            if keras is not None:
                keras.begin(model, state.callback_rate, first)
            while state.epoch < epochs and not self._ends(state):
                if keras is not None and keras.begin_epoch(state.epoch):
                    break
                state = self._train_epoch(session, state)
        return state if keras is None else self._end_callbacks(model, keras, state)

    def _keras_callbacks(self) -> KerasCallbacks | None:
        given = [one for one in self.callbacks if is_keras_callback(one)]
        checkpoint = self.folder.checkpoint_path
        held = read_state(checkpoint).callback_rate if checkpoint.is_file() else None
        if not given and held is None:  # a rate that a callback set holds in a run that goes on without it, too
            return None
        if self.config.weight_average and any(getattr(one, "restore_best_weights", False) for one in given):
            raise InputError(
                "weight_average is judged and kept itself, and a callback with restore_best_weights keeps other "
                "weights than were judged; leave one of the two out"
            )
        return KerasCallbacks(
            given,
            epochs=self.config.epochs or 1,
            steps=self.batches.steps,
            schedule=self.schedule,
            peak=self.config.learning_rate or 0.1,
            progress=self.progress,
        )

    def _end_callbacks(self, model: tf_keras.Model, keras: KerasCallbacks, state: TrainingState) -> TrainingState:
        """End the callbacks of tf-keras, and keep the weights that they leave in the network where they chose some."""
        kept = keras.end(state.history[-1] if state.history else None)
        if kept is None:
            return state
        state = replace(state, kept_epoch=kept, stopped=True)
        values, optimizer = model.get_weights(), [v.numpy() for v in model.optimizer.variables]
        self.plain.set_weights(values)
        if self.devices.worker == 0:
            self._save_model()
            save_checkpoint(self.folder.checkpoint_path, values, optimizer, state)
        return state

    def _compile_network(self, *, settable_rate: bool) -> tf_keras.Model:
        config = self.config
        model = self.build()
        if frozen := freeze_first(model, config.frozen_fraction or 0.0):
            self.progress.info(f"not trained: the first {counted(frozen, 'convolution')}")
        optimizer = build_optimizer(
            float(config.learning_rate or 0.1) if settable_rate else self.schedule,
            OptimizerSettings(
                config.optimizer or "sgd",
                config.momentum,
                config.weight_decay or 0.0,
                config.weight_average or 0.0,
                layer_factors(model, config.first_layer_rate or 1.0, by_norm=config.norm_rates or False),
                find_turned(model) if config.optimizer == "muon" else frozenset(),
            ),
        )
        loss, metric = self.objective.make_loss(), self.objective.make_metric()
        model.compile(optimizer, loss, weighted_metrics=[metric], jit_compile=config.xla)
        optimizer.build(model.trainable_variables)
        return model

    def _fit_head(self, model: tf_keras.Model) -> TrainingState:
        """Fit the classifier on frozen features where that is asked for, and return the state before the first epoch.

        The network is kept until an epoch is as good: training all layers may destroy what photos of another kind have
        in common with those that the features are from. Several workers may compute slightly different features, and
        have to begin with the same weights: there the classifier begins at random.
        """
        splits = self.dataset.splits
        if not self.config.head_first or self.devices.workers > 1:
            return TrainingState()
        validation = splits["validation"].each_view(self.dataset.height)
        fit_head(model, splits["train"], validation, self.config.balance, self.progress)
        restart_averages(model.optimizer, model.trainable_variables)
        self.plain.set_weights(model.get_weights())
        judged = self.objective.judge(self.plain, splits["validation"])
        self._save_model()
        shown = percent(judged.top1, 1)
        then = "the layers before it" if self.config.frozen_fraction else "all layers"
        self.progress.info(f"classifier on frozen features: {shown} on validation; now {then}")
        return TrainingState(best_top1=judged.top1, best_loss=judged.loss)

    def _ends(self, state: TrainingState) -> bool:
        patience = self.config.early_stopping
        if patience > 0 and state.epoch - state.best_epoch >= patience:
            self.progress.info(f"no better epoch for {patience}: stopped after {state.epoch}")
            return True
        return state.stopped

    def _train_epoch(self, session: _Session, state: TrainingState) -> TrainingState:
        """Train one epoch, validate it, keep its network where it is good enough, and save the state after it."""
        started, model, keras = time.monotonic(), session.model, session.keras
        reset_dropout(model, self.config.seed + state.epoch)
        logs = self._fit_epoch(session, state.epoch)
        check_loss(logs["loss"], state.epoch, self.config)
        # On every worker: statistics of batch normalization are the mean over all of them, which all have to ask for at
        # the same time, or the one that asks waits for ever.
        values, optimizer = model.get_weights(), [v.numpy() for v in model.optimizer.variables]
        self.plain.set_weights(average_weights(model))
        row = self._validate(state.epoch, logs, started, keras)
        check_loss(row["validation_loss"], state.epoch, self.config, " on validation")
        state = self._choose(replace(state, parameters=int(model.count_params())), row)
        # History and logs first, the checkpoint last: all that the checkpoint counts as done is there.
        stops = [callback.on_epoch_end(state.epoch, row) for callback in session.callbacks]
        if keras is not None:
            stops.append(keras.end_epoch(state.epoch - 1, row))
            # What a callback has set is what the next epoch begins with.
            values, optimizer = model.get_weights(), [v.numpy() for v in model.optimizer.variables]
        stopped = any(self.devices.all_gather(int(any(stops))))
        state = replace(state, stopped=stopped, callback_rate=keras.rate if keras is not None else None)
        if self.devices.worker == 0:
            save_checkpoint(self.folder.checkpoint_path, values, optimizer, state)
        return state

    def _fit_epoch(self, session: _Session, epoch: int) -> dict[str, float]:
        size, devices = image_size_at(self.config, epoch), self.devices
        recipe = augmentation_at(self.batches.recipe, epoch, self.config.epochs or 1, self.config.unaugmented_epochs)
        batches = replace(self.batches, recipe=recipe)
        if devices.workers > 1:
            # Each worker prepares its own part of every batch; together they are the one global batch.
            part = WorkerPart(devices.worker, devices.workers, devices.replicas // devices.workers)
            data = devices.strategy.distribute_datasets_from_function(lambda _: batches.epoch(epoch, size, part))
        else:
            data = batches.epoch(epoch, size)
        callbacks = [StepProgress(session.note, epoch + 1)]
        if session.keras is not None:
            callbacks.append(session.keras.forward(epoch))
        done = session.model.fit(
            data,
            initial_epoch=epoch,
            epochs=epoch + 1,
            steps_per_epoch=self.batches.steps,
            verbose=0,
            callbacks=callbacks,
        )
        return {key: float(values[-1]) for key, values in done.history.items()}

    def _validate(self, epoch: int, logs: dict[str, float], started: float, keras: KerasCallbacks | None) -> Row:
        """Return the row of the history of `epoch` (from 0)."""
        if keras is not None:
            keras.begin_validation()
        judged = self.objective.judge(self.plain, self.dataset.splits["validation"])
        row = {
            "epoch": epoch + 1,
            "loss": logs["loss"],
            "top1": logs["top1"],
            "validation_loss": judged.loss,
            "validation_top1": judged.top1,
            "learning_rate": keras.current_rate() if keras is not None else self._last_rate(epoch),
            "seconds": round(time.monotonic() - started, 3),
        }
        if keras is not None:
            keras.end_validation(row)
        return row

    def _last_rate(self, epoch: int) -> float:
        return float(self.schedule((epoch + 1) * self.batches.steps - 1))

    def _save_model(self) -> None:
        with self.folder.replacing_model() as path:
            self.objective.extract(self.plain).save(path)

    def _choose(self, state: TrainingState, row: Row) -> TrainingState:
        """Keep the network if validation cannot distinguish it from the best, and return the state after the epoch."""
        top1, loss, done = row["validation_top1"], row["validation_loss"], state.epoch + 1
        # Small validation splits tie often; of two equals, the one with the lower loss is surer of its predictions.
        better = (top1, -loss) > (state.best_top1, -state.best_loss)
        images = len(self.dataset.splits["validation"].labels)
        kept = better or self.objective.keeps_last or top1 >= within_chance(state.best_top1, images)
        if kept and self.devices.worker == 0:
            self._save_model()
        return replace(
            state,
            epoch=done,
            best_top1=top1 if better else state.best_top1,
            best_loss=loss if better else state.best_loss,
            best_epoch=done if better else state.best_epoch,
            kept_epoch=done if kept else state.kept_epoch,
            seconds=state.seconds + row["seconds"],
            history=(*state.history, row),
        )


@dataclass(frozen=True)
class _Session:
    """What lasts from the first to the last epoch of a session: network, bar, and callbacks of both kinds."""

    model: tf_keras.Model
    note: ProgressNote
    callbacks: Sequence[TrainingCallback]
    keras: KerasCallbacks | None
