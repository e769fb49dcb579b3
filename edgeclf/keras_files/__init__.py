"""Host side: float networks in files, made by edgeclf or not; they are checked before they are loaded."""

import edgeclf.graph  # noqa: F401  # sets the variables that TensorFlow reads when it is first imported
