"""Live classification: a source of frames, a loop that takes the newest, and views and outputs that never slow it.

sources/  →  capture  →  loop  →  state  →  views (window, web page, terminal)
                               →  outputs (record, collect, on-change, MQTT), each in a thread of its own
"""
