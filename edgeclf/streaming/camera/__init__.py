"""From a camera, a file or a stream to frames: the sources, and the capture that keeps the newest frame of one."""
