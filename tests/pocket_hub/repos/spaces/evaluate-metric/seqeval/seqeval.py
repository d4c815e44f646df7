"""Entity-level scores for sequence labelling, computed by the seqeval library."""
import datasets
import evaluate
from seqeval import metrics, scheme as schemes


class Seqeval(evaluate.Metric):
    def _info(self):
        labels = datasets.Sequence(datasets.Value("string"))
        return evaluate.MetricInfo(
            description="Precision, recall and F1 over whole entities.", citation="",
            inputs_description="predictions and references: one list of labels (B-PER, I-PER, O ...) a sentence",
            features=datasets.Features({"predictions": labels, "references": labels}))

    def _compute(self, predictions, references, suffix=False, scheme=None, mode=None, sample_weight=None, zero_division="warn"):
        if scheme is not None:
            known = {"IOB1", "IOB2", "IOE1", "IOE2", "IOBES", "BILOU"}
            if scheme not in known:
                raise ValueError(f"unknown scheme {scheme}; known: {', '.join(sorted(known))}")
            scheme = getattr(schemes, scheme)
        report = metrics.classification_report(
            references, predictions, suffix=suffix, output_dict=True, scheme=scheme, mode=mode,
            sample_weight=sample_weight, zero_division=zero_division)
        micro = report["micro avg"]
        averages = ("micro avg", "macro avg", "weighted avg")
        scores = {
            name: {"precision": row["precision"], "recall": row["recall"], "f1": row["f1-score"], "number": row["support"]}
            for name, row in report.items() if name not in averages}
        return {**scores, "overall_precision": micro["precision"], "overall_recall": micro["recall"],
                "overall_f1": micro["f1-score"], "overall_accuracy": metrics.accuracy_score(references, predictions)}
