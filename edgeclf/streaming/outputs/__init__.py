"""What takes each result: the window, JSON lines, a video file, a program to run, an MQTT broker."""
