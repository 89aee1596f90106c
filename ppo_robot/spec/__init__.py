"""What a robot, a task, a training run and a deployment are: frozen dataclasses, loaded from strict YAML."""
