{{- define "conversation-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- /* At most 40 characters, so that every suffix the chart adds still gives a DNS label. */ -}}
{{- define "conversation-operator.fullname" -}}
{{- $name := include "conversation-operator.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* Cluster-scoped objects carry the release's namespace: two releases may share a name. */ -}}
{{- define "conversation-operator.clusterName" -}}
{{- $fullname := include "conversation-operator.fullname" . -}}
{{- if eq $fullname .Release.Namespace -}}
{{- $fullname -}}
{{- else -}}
{{- printf "%s:%s" .Release.Namespace $fullname -}}
{{- end -}}
{{- end -}}

{{- define "conversation-operator.runtimesNamespace" -}}
{{- default .Release.Namespace .Values.runtimes.namespace -}}
{{- end -}}

{{- define "conversation-operator.clientName" -}}
{{- printf "%s-client" (include "conversation-operator.fullname" .) -}}
{{- end -}}

{{- define "conversation-operator.labels" -}}
app.kubernetes.io/name: {{ include "conversation-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- /* Selectors are immutable: only what never changes within a release. */ -}}
{{- define "conversation-operator.operatorSelector" -}}
app.kubernetes.io/name: {{ include "conversation-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- /* What core/build.py puts on every runtime pod (api/labels.py). */ -}}
{{- define "conversation-operator.runtimeSelector" -}}
app.kubernetes.io/managed-by: conversation-operator
app.kubernetes.io/component: runtime
{{- end -}}

{{- define "conversation-operator.operatorImage" -}}
{{- with .Values.operator.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}
