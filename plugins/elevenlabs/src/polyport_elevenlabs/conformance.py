"""What ElevenLabs answered, for the contract of `polyport.testing` and `polyport conformance elevenlabs`.

The shapes are those of https://elevenlabs.io/docs/api-reference, read 2026-11-23.
"""

from __future__ import annotations

from polyport.testing import Exchange, Reply

WAV = ("a.wav", b"RIFF\0\0\0\0WAVEfmt ")
MP3 = b"ID3\x04\0\0\0\0\0#TSSE\0\0\0\x0f\0\0\x03Lavf60.16.100" + bytes(range(256)) * 4
SPOKEN = Reply(content=MP3, headers={"content-type": "audio/mpeg", "request-id": "r-1", "x-character-count": "5"})
TIMED = b"""{"audio_base64": "SUQzBAAAAAAAI1RTU0U=",
 "alignment": {"characters": ["H", "i"], "character_start_times_seconds": [0.0, 0.1],
               "character_end_times_seconds": [0.1, 0.25]},
 "normalized_alignment": null}"""
VOICES = b"""{"voices": [{"voice_id": "kPtEHAvRnjUJFv7SK9WI", "name": "Mum - Warm, Patient", "category": "cloned"}],
 "has_more": false, "total_count": 1, "next_page_token": null}"""
HEARD = """{"language_code": "eng", "language_probability": 0.98, "text": "Hello, w\u00f6rld. (laughs) Bye.", "words": [
 {"text": "Hello,", "start": 0.1, "end": 0.5, "type": "word", "speaker_id": "speaker_0", "logprob": -0.01},
 {"text": " ", "start": 0.5, "end": 0.5, "type": "spacing", "speaker_id": "speaker_0", "logprob": 0.0},
 {"text": "w\u00f6rld.", "start": 0.5, "end": 0.9, "type": "word", "speaker_id": "speaker_0", "logprob": -0.02},
 {"text": " ", "start": 0.9, "end": 1.0, "type": "spacing", "speaker_id": "speaker_1", "logprob": 0.0},
 {"text": "(laughs)", "start": 1.0, "end": 1.5, "type": "audio_event", "speaker_id": "speaker_1", "logprob": 0.0},
 {"text": " ", "start": 1.5, "end": 3.0, "type": "spacing", "speaker_id": "speaker_1", "logprob": 0.0},
 {"text": "Bye.", "start": 3.0, "end": 3.4, "type": "word", "speaker_id": "speaker_1", "logprob": -0.03}],
 "transcription_id": "t-1", "audio_duration_secs": 3.5, "additional_formats": [{"requested_format": "srt",
  "file_extension": "srt", "content_type": "text/srt", "is_base64_encoded": false,
  "content": "1\\n00:00:00,100 --> 00:00:00,900\\nHello, w\u00f6rld.\\n\\n2\\n00:00:01,000 --> 00:00:03,400\\nBye.\\n"
  }]}""".encode()
CHANNELS = b"""{"transcription_id": "t-2", "audio_duration_secs": 2.0, "transcripts": [
 {"language_code": "eng", "language_probability": 1.0, "text": "Hello.", "channel_index": 0, "words": [
  {"text": "Hello.", "start": 0.5, "end": 0.9, "type": "word", "logprob": 0.0, "channel_index": 0}]},
 {"language_code": "eng", "language_probability": 1.0, "text": "Hi!", "channel_index": 1, "words": [
  {"text": "Hi!", "start": 0.1, "end": 0.4, "type": "word", "logprob": 0.0, "channel_index": 1}]}]}"""
MODELS = b"""[{"model_id": "eleven_multilingual_v2", "name": "Eleven Multilingual v2", "can_do_text_to_speech": true,
 "maximum_text_length_per_request": 10000, "languages": [{"language_id": "en", "name": "English"}],
 "model_rates": {"character_cost_multiplier": 1.0}}]"""

SAY = {"model": "eleven_multilingual_v2", "input": "Hello"}
HEAR = {"model": "scribe_v2", "file": WAV}

EXCHANGES = [
    Exchange("speak", {**SAY, "voice": "Sarah"}, reply=SPOKEN, stream=SPOKEN),
    Exchange("speak", {**SAY, "voice": "Mum"}, reply=SPOKEN, stream=SPOKEN, before=[VOICES], label="voice_looked_up"),
    Exchange("speak", {**SAY, "with_timestamps": True}, reply=TIMED, label="speak_timed"),
    Exchange("transcribe", {**HEAR, "language": "en"}, reply=HEARD, text="Hello, w\u00f6rld. (laughs) Bye."),
    Exchange("transcribe", {**HEAR, "response_format": "diarized_json"}, reply=HEARD, label="transcribe_speakers"),
    Exchange("transcribe", {**HEAR, "response_format": "vtt"}, reply=HEARD, label="transcribe_vtt"),
    Exchange("transcribe", {**HEAR, "use_multi_channel": True}, reply=CHANNELS, label="transcribe_channels"),
    Exchange("list_models", {}, reply=MODELS),
]
