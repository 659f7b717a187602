"""The commands. Each imports TensorFlow only after its flags are found good."""
