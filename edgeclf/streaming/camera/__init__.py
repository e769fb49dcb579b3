"""Read frames from a camera, a file or a stream: the sources, and the capture that keeps the newest frame of one."""
