// The picture, read from the multipart stream: here rather than by <img src="/stream.mjpg">, so that it is known when
// the stream ends, which picture is on the screen, and so that a hidden page lets go of the connection.

export class PictureStream {
  // image: <img>; onPicture(): a picture is shown; onTrouble(text): it is not, or with "" it is again.
  constructor(image, onPicture, onTrouble) {
    this.image = image;
    this.onPicture = onPicture;
    this.onTrouble = onTrouble;
    this.blob = null;
    this.abort = null;
  }

  start() {
    this.stop();
    this.abort = new AbortController();
    this.keepReading(this.abort.signal);
  }

  stop() {
    if (this.abort) this.abort.abort();
    this.abort = null;
  }

  async keepReading(signal) {
    while (!signal.aborted) {
      try {
        await this.read(signal);
      } catch {
        // the events show that the connection is lost
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  async read(signal) {
    const response = await fetch("/stream.mjpg", { signal });
    if (response.status === 503) this.onTrouble("Too many viewers: the picture comes when another one leaves.");
    if (!response.ok) return;
    this.onTrouble("");
    const reader = response.body.getReader();
    let bytes = new Uint8Array(0);
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      bytes = joined(bytes, value);
      let newest = null;
      for (let part = firstPart(bytes); part; part = firstPart(bytes)) {
        newest = part.picture;
        bytes = bytes.slice(part.end);
      }
      if (newest) {
        await this.show(new Blob([newest], { type: "image/jpeg" }), signal);
      }
    }
  }

  async show(blob, signal) {
    const before = this.image.src;
    const url = URL.createObjectURL(blob);
    if (signal.aborted) return URL.revokeObjectURL(url);
    this.blob = blob;
    this.image.src = url;
    await this.image.decode().catch(() => {});
    if (before.startsWith("blob:")) URL.revokeObjectURL(before);
    this.onPicture();
  }
}

function joined(first, second) {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

function firstPart(bytes) {
  const head = new TextDecoder("latin1").decode(bytes.subarray(0, 400));
  const blank = head.indexOf("\r\n\r\n");
  const length = blank < 0 ? null : head.slice(0, blank).match(/content-length: (\d+)/i);
  if (!length) return null;
  const start = blank + 4;
  const end = start + Number(length[1]);
  return bytes.length < end ? null : { picture: bytes.subarray(start, end), end };
}
