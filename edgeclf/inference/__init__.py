"""Edge side: engines, predictors, and the classifier of a model file."""
