"""One runtime pod per AI-agent conversation, on Kubernetes."""
