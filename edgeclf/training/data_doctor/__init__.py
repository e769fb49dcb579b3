"""What frozen features and a head say of labelled photos: doubtful labels, classes that are alike, a learning curve."""
