"""An end of a call made with aiortc: sends a tone and a colour, measures what it receives.

Its argument is the offer as JSON; the first line that it prints is the answer. After that it prints a line a second:
{"hertz": the strongest frequency, "width", "height", "frames", "green": the share of pixels that are mostly green}.
"""

import asyncio
import fractions
import json
import sys

import numpy
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from av import AudioFrame, VideoFrame

RATE = 48000
TONE = 700
PIECE = RATE // 50


class Tone(AudioStreamTrack):
    """A pure tone."""

    at = 0

    async def recv(self):
        silence = await super().recv()
        times = (numpy.arange(PIECE) + self.at) / RATE
        self.at += PIECE
        samples = (numpy.sin(times * TONE * 2 * numpy.pi) * 12000).astype(numpy.int16)
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE
        # Its own clock counts 160 samples for each 20 ms, at 8000 Hz.
        frame.pts = silence.pts * RATE // silence.sample_rate
        frame.time_base = fractions.Fraction(1, RATE)
        return frame


class Blue(VideoStreamTrack):
    """A picture in blue."""

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        frame = VideoFrame.from_ndarray(numpy.full((240, 320, 3), (0, 0, 255), numpy.uint8), format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


got = {"hertz": 0, "width": 0, "height": 0, "frames": 0, "green": 0}


async def hear(track):
    """Takes half a second of sound at a time."""
    held = numpy.zeros(0)
    while True:
        frame = await track.recv()
        channels = len(frame.layout.channels)
        held = numpy.concatenate([held, frame.to_ndarray().reshape(-1, channels)[:, 0]])
        if len(held) >= frame.sample_rate / 2:
            spectrum = numpy.abs(numpy.fft.rfft(held * numpy.hanning(len(held))))
            got["hertz"] = float(numpy.argmax(spectrum) * frame.sample_rate / len(held))
            held = numpy.zeros(0)


async def look(track):
    """Looks at a frame now and then."""
    while True:
        frame = await track.recv()
        got["frames"] += 1
        if got["frames"] % 10 == 0:
            got["width"], got["height"] = frame.width, frame.height
            red, green, blue = (frame.to_ndarray(format="rgb24")[:, :, i].astype(int) for i in range(3))
            got["green"] = float(numpy.mean((green > red + 30) & (green > blue + 30)))


async def main():
    """One call."""
    pc = RTCPeerConnection()
    tasks = []

    @pc.on("track")
    def on_track(track):
        tasks.append(asyncio.ensure_future(hear(track) if track.kind == "audio" else look(track)))

    @pc.on("datachannel")
    def on_channel(channel):
        channel.on("message", lambda message: channel.send(message))

    offer = json.loads(sys.argv[1])
    await pc.setRemoteDescription(RTCSessionDescription(**offer))
    pc.addTrack(Tone())
    pc.addTrack(Blue())
    await pc.setLocalDescription(await pc.createAnswer())
    print(json.dumps({"type": pc.localDescription.type, "sdp": pc.localDescription.sdp}), flush=True)
    while pc.connectionState not in ("closed", "failed"):
        await asyncio.sleep(1)
        print(json.dumps(got), flush=True)


asyncio.run(main())
