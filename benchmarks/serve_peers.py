"""What serve.py compares with, each as its documentation would have it.

Both read the annotations of functions, so these stay objects.
"""

from typing import Any

import litserve
import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, UploadFile

from sightline.deploy.runtime import Runtime
from sightline.types import Classification


class Api(litserve.LitAPI):
    """The same decoding, resizing and ONNX Runtime as the other servers."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(**options)
        self.path = path

    def setup(self, device: str) -> None:
        """Load the model, in the worker."""
        self.runtime = Runtime(self.path, threads=1)

    def decode_request(self, request):  # unannotated: LitServe then gives the form
        """From a form to pixels."""
        return self.runtime.prepare(request["images"].file.read())[0]

    def batch(self, inputs: list[Any]) -> Any:
        """Images to one array."""
        return np.stack(inputs)

    def predict(self, x: Any) -> Any:
        """Answers of a batch."""
        return self.runtime.answer(x)

    def unbatch(self, output: Any) -> Any:
        """Answers, one by one."""
        return output

    def encode_response(self, output: Any) -> Any:
        """An answer as JSON."""
        return written(output)


def written(answer: Classification) -> dict[str, Any]:
    """The answer that all servers give."""
    top = [{"label": name, "score": score} for name, score in answer.top(5)]
    return {"label": answer.name, "score": answer.score, "top": top}


def run_litserve(path: str, port: int, batch: int, wait: float) -> None:
    """Serve with LitServe; the queue over ZeroMQ is the faster of LitServe's two."""
    api = Api(path, max_batch_size=batch, batch_timeout=wait)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")


def run_pytorch(model: torch.nn.Module, path: str, port: int) -> None:
    """Serve with a FastAPI route that calls the model, without batches."""
    torch.set_num_threads(1)
    runtime = Runtime(path, threads=1)  # only to prepare images
    app = FastAPI()

    @app.post("/predict")
    def predict(images: UploadFile) -> dict[str, Any]:
        pixels, _ = runtime.prepare(images.file.read())
        with torch.inference_mode():
            probabilities = model(torch.from_numpy(pixels[None].copy()))[0][0].numpy()
        return written(Classification(probabilities, runtime.about.classes))

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
