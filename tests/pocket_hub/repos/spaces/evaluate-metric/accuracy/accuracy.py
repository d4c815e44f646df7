"""The share of right predictions."""
import datasets
import evaluate
import numpy


class Accuracy(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description="The share of right predictions.", citation="",
            inputs_description="predictions and references: one class number each",
            features=datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}))

    def _compute(self, predictions, references, normalize=True, sample_weight=None):
        right = numpy.asarray(predictions) == numpy.asarray(references)
        if not normalize:
            return {"accuracy": int(right.sum())}
        return {"accuracy": float(numpy.average(right, weights=sample_weight))}
