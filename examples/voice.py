"""Text to speech and back, on local models (`polyport-local[audio]`)."""

import sys
import tempfile
from pathlib import Path

import polyport

speaker = sys.argv[1] if len(sys.argv) > 1 else "local/espeak"
listener = sys.argv[2] if len(sys.argv) > 2 else "local/whisper-tiny.en"

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "speech.wav"
    polyport.speech(speaker, "The weather is nice today.", response_format="wav").stream_to_file(path)
    print("bytes of speech:", path.stat().st_size)
    heard = polyport.transcription(listener, path)
print("heard:", heard.text.strip())
