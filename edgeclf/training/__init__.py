"""Host side: from a data set to a float Keras model in a run folder."""

import edgeclf.graph  # noqa: F401  # sets the variables that TensorFlow reads when it is first imported
