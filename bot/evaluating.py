"""Performance: predictions whose labels have come are measured, remembered, logged, and perhaps said in Slack."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from bot.alerting import Notify
from bot.config import Config, ModelSection
from bot.monitoring import announce, utc_now
from detectors.performance import Metrics, breaches, evaluate, read_predictions
from detectors.source import sha256_file
from state.records import PerformanceRecord
from state.store import Store
from trainers.base import ModelRegistry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A measured file: the metrics, the sentences about those out of bounds, and what was stored."""

    metrics: Metrics
    breaches: tuple[str, ...]
    record: PerformanceRecord
    log_error: str = ""


@dataclass(frozen=True, slots=True)
class Evaluating:
    """Measures labelled predictions of a model. `registry` is made on first use: it loads MLflow."""

    config: Config
    store: Store
    registry: Callable[[], ModelRegistry]
    now: Callable[[], datetime] = utc_now

    def evaluate(self, model: ModelSection, path: Path) -> Evaluated:
        """Measure a file with columns y_true, y_pred and optionally y_prob. DataError if it cannot be read."""
        label = model.label
        y_true, y_pred, y_prob = read_predictions(path, label.positive, label.negative)
        metrics = evaluate(y_true, y_pred, y_prob)
        found = breaches(metrics, model.thresholds())
        url, error = self._log(model, path, metrics)
        record = self.store.save_performance(
            model.name,
            str(path),
            sha256_file(path),
            rows=metrics.rows,
            metrics=asdict(metrics),
            breaches=found,
            run_url=url,
            now=self.now(),
        )
        return Evaluated(metrics, found, record, error)

    def _log(self, model: ModelSection, path: Path, metrics: Metrics) -> tuple[str, str]:
        """The MLflow run's URL; a store that is away costs the link and a warning, never the evaluation."""
        champion = self.store.champion(model.name)
        version = str(champion.record.version) if champion else "none"
        numbers = {k: float(v) for k, v in asdict(metrics).items() if v is not None}
        params = {"file": path.name, "sha256": sha256_file(path), "champion_version": version}
        try:
            tags = {"driftcatcher.kind": "performance"}
            return self.registry().log_metrics_run(
                model.name, f"performance {path.name}", numbers, params, tags
            ), ""
        except Exception as error:  # noqa: BLE001  MLflow may raise anything; it is reported in the result
            log.info("MLflow did not take the evaluation of %s: %s", path.name, error)
            return "", f"not logged to MLflow: {error}"

    def notify(self, model: ModelSection, evaluated: Evaluated) -> Notify:
        """Put an alert into the outbox when a metric is out of bounds, once for the same file."""
        if not evaluated.breaches:
            return Notify("quiet", "every metric is within its bounds")
        key = f"performance:{model.name}:{evaluated.record.sha256}"
        payload = {"performance_id": evaluated.record.id}
        reason = f"{len(evaluated.breaches)} metric(s) out of bounds"
        return announce(self.store, model, "performance", reason, key, payload, self.now())
