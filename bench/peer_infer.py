"""ONNX Runtime's and OpenVINO's side of the benchmark: scoring with the network that
`peer_torch.py score MODEL export` wrote. The batch is fixed in the network, which suits both.
"""

import os

import peer


def onnxruntime_scorer(path, options):
    import onnxruntime
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return ("ONNX Runtime " + onnxruntime.__version__,
            lambda images, noise: session.run(None, {"images": images, "noise": noise}))


def openvino_scorer(path, options):
    import openvino
    compiled = openvino.Core().compile_model(path, "CPU", {
        "INFERENCE_NUM_THREADS": options.threads, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    return ("OpenVINO " + openvino.__version__.split("-")[0],
            lambda images, noise: request.infer({"images": images, "noise": noise}))


def main():
    options = peer.options(["onnxruntime", "openvino"])
    scorer = onnxruntime_scorer if options.mode == "onnxruntime" else openvino_scorer
    images = peer.scored_images(options.images, peer.SIDES[options.model])
    noise = peer.latent_noise(len(images))
    version = ""

    def make(batch):
        nonlocal version
        version, run = scorer(os.path.join(options.onnx, f"{batch}.onnx"), options)

        def score(first, last):
            for at in range(first, last, batch):
                run(images[at:at + batch], noise[at:at + batch])

        return score

    batch, score = peer.best_batch(make)
    peer.serve(f"{version}, batch {batch}", lambda: score(0, len(images)))


if __name__ == "__main__":
    main()
