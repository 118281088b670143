"""Float Keras models to int8 TFLite, and how much that costs."""
