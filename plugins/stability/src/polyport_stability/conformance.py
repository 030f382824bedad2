"""What Stability answers, for the contract of `polyport.testing` and `polyport conformance stability`.

Written after the examples of https://platform.stability.ai/docs/api-reference, read 2026-11-23; none of it is recorded.
"""

from __future__ import annotations

import base64

from polyport.testing import Exchange

B64 = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PNG = ("a.png", base64.b64decode(B64))
DRAWN = f'{{"image": "{B64}", "finish_reason": "SUCCESS", "seed": 343940597}}'.encode()
JOB = b'{"id": "a6dc6c6e20acda010fe14d71f180658f2896ed9b4ec25aa99a6ff06c796987c4"}'
RESULT = f'{{"result": "{B64}", "finish_reason": "SUCCESS", "seed": 343940597}}'.encode()
ARTIFACTS = f"""{{"artifacts": [{{"base64": "{B64}", "finishReason": "SUCCESS", "seed": 1050625087}},
 {{"base64": "{B64}", "finishReason": "CONTENT_FILTERED", "seed": 1229191277}}]}}""".encode()
ENGINES = b"""[{"description": "Stability-AI Stable Diffusion XL v1.0", "id": "stable-diffusion-xl-1024-v1-0",
 "name": "Stable Diffusion XL v1.0", "type": "PICTURE"}]"""
XL = "stable-diffusion-xl-1024-v1-0"
CAT = {"prompt": "A cat"}

EXCHANGES = [
    Exchange("generate_image", {"model": "core", **CAT, "size": "1024x1024"}, reply=DRAWN),
    Exchange("generate_image", {"model": "sd3.5-large", **CAT, "n": 1, "seed": 7}, reply=DRAWN, label="generate_sd3"),
    Exchange("generate_image", {"model": XL, **CAT, "n": 2, "size": "1344x768"}, reply=ARTIFACTS, label="generate_xl"),
    Exchange("edit_image", {"model": "inpaint", **CAT, "image": PNG, "mask": PNG}, reply=DRAWN),
    Exchange("edit_image", {"model": XL, **CAT, "image": PNG, "mask": PNG}, reply=ARTIFACTS, label="edit_xl"),
    Exchange("edit_image", {"model": "upscale-creative", **CAT, "image": PNG}, reply=RESULT, before=[JOB], label="job"),
    Exchange("vary_image", {"model": "upscale-fast", "image": PNG}, reply=DRAWN),
    Exchange("list_models", {}, reply=ENGINES),
]
