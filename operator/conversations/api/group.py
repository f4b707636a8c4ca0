"""Where the resources live in the Kubernetes API."""

GROUP = "conversation-operator.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

CONVERSATION_KIND = "Conversation"
CONVERSATIONS = "conversations"
TEMPLATE_KIND = "RuntimeTemplate"
TEMPLATES = "runtimetemplates"
