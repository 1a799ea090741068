"""What runs inside a TorchServe worker, and anywhere else: image bytes in, a calibrated decision out.

    from handler.predictor import Predictor

    predictor = Predictor.load("model_store/lesion.mar")
    [answer] = predictor.predict([open("mole.jpg", "rb").read()])
    print(answer.wire())

Only `handler.lesion_handler` knows TorchServe, and importing this package imports nothing else.
"""
