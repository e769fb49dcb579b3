"""Where frames come from: cameras, files, folders, streams, pipelines and recordings, behind one small protocol."""
