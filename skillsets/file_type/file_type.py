"""A skillset that tells what type of file some content is, by Magika's model and rules."""

import importlib.metadata
import io
import pathlib
from collections.abc import Sequence

import onnxruntime
from magika import Magika, PredictionMode
from magika.types import MagikaResult, Seekable
from troupe_skillset import (Batch, Batching, CancelToken, Option, Request, Response, Settings, Signature, Skillset, Tensor,
                             TensorSpec)


class Detector(Magika):
    """Magika with what its interface has no words for: many contents at once, and a bound on threads.

    Of version 1.0.3 exactly, which pyproject.toml pins.
    """

    def __init__(self, mode: PredictionMode, threads: int) -> None:
        self._threads = threads
        super().__init__(prediction_mode=mode)

    def _init_onnx_session(self) -> onnxruntime.InferenceSession:
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # The threads are another model's to use when a run is over.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(self._model_path, options, providers=["CPUExecutionProvider"])

    def identify(self, contents: Sequence[bytes]) -> list[MagikaResult]:
        """What each of them is, with one run of the model for all that need it."""
        results: dict[str, MagikaResult] = {}
        features = []
        for index, content in enumerate(contents):
            key = pathlib.Path(str(index))
            result, found = self._get_result_or_features_from_seekable(Seekable(io.BytesIO(content)), key)
            if result is not None:
                results[str(key)] = result
            elif found is not None:
                features.append((key, found))
        results.update(self._get_results_from_features(features))
        return [results[str(index)] for index in range(len(contents))]


class FileType(Skillset):
    name = "file_type"
    platform = "onnxruntime"
    version = importlib.metadata.version("troupe-file-type")
    options = (Option("prediction_mode", str(PredictionMode.HIGH_CONFIDENCE),
                      choices=[str(mode) for mode in PredictionMode]),)
    signature = Signature([TensorSpec("content", "BYTES", [-1])],
                          [TensorSpec("label", "BYTES", [-1]), TensorSpec("mime_type", "BYTES", [-1]),
                           TensorSpec("score", "FP32", [-1])], batches=True)
    batching = Batching(items=128)  # the model reads as much of a small file as of a large one

    def load(self, settings: Settings, token: CancelToken) -> None:
        mode = PredictionMode(str(settings.options["prediction_mode"]))
        self._detector = Detector(mode, settings.threads)

    def warm_up(self) -> Request:
        return Request([Tensor.of("content", "BYTES", [b"#include <stdio.h>\n\nint main(void) {\n  return 0;\n}\n"])])

    def run(self, batch: Batch) -> None:
        wanted = [item for item in batch if not item.token.cancelled]
        contents = [item.request.input("content").bytes_elements() for item in wanted]
        results = self._detector.identify([content for each in contents for content in each])
        at = 0
        for item, each in zip(wanted, contents, strict=True):
            item.respond(response_of(results[at:at + len(each)]))
            at += len(each)


def response_of(results: Sequence[MagikaResult]) -> Response:
    return Response([Tensor.of("label", "BYTES", [str(result.output.label) for result in results]),
                     Tensor.of("mime_type", "BYTES", [result.output.mime_type for result in results]),
                     Tensor.of("score", "FP32", [result.score for result in results])])
