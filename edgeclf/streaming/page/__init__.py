"""The live page: picture, label and history in a browser, as JSON, and as events. Viewers never slow the loop.

The loop publishes into `LiveState` and knows nothing of this package. Here one thread runs the server; it looks at the
newest state a few times a second while somebody watches, encodes each picture once in a worker thread, and hands the
same bytes to all viewers. A slow reader misses pictures, and no viewer waits for another.
"""
