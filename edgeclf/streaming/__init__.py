"""Live classification: a source of frames, a loop that takes the newest, and views and outputs that never slow it.

camera/  →  loop/  →  the state  →  views: page/, the window, the terminal
                   →  outputs/ and collection/, each in a thread of its own
supervision/ holds what keeps a run healthy: threads, problems, release at the end, systemd.
"""
