{{- /*
The spec of RuntimeTemplate `default`.  It stays small: the operator fills in environment, probes, volumes and
security context (core/build.py), for this blueprint as for any other.
*/ -}}
{{- define "conversation-operator.defaultTemplate" -}}
{{- $values := .Values.defaultTemplate -}}
{{- $workspace := $values.workspace -}}
protocol: AgentServer
port: {{ $values.port }}
workspace:
  mountPath: {{ $workspace.mountPath | quote }}
  {{- if eq $workspace.kind "EmptyDir" }}
  emptyDir:
    sizeLimit: {{ $workspace.size | quote }}
  lossOnPause: {{ $workspace.lossOnPause }}
  {{- else }}
  persistentVolumeClaim:
    size: {{ $workspace.size | quote }}
    {{- with $workspace.storageClassName }}
    storageClassName: {{ . | quote }}
    {{- end }}
    retention: {{ $workspace.retention }}
  {{- end }}
{{- with $values.allowedImages }}
allowedImages:
  {{- toYaml . | nindent 2 }}
{{- end }}
pod:
  {{- if or $values.podLabels $values.podAnnotations }}
  metadata:
    {{- with $values.podLabels }}
    labels:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with $values.podAnnotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- end }}
  spec:
    {{- with $values.podSpec }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    containers:
      - name: runtime
        image: {{ $values.image | quote }}
        imagePullPolicy: {{ $values.imagePullPolicy }}
        {{- with $values.env }}
        env:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        resources:
          {{- toYaml $values.resources | nindent 10 }}
{{- end -}}

{{- /* One file of the templates' directory, from (dict name spec). */ -}}
{{- define "conversation-operator.templateFile" -}}
apiVersion: conversation-operator.io/v1alpha1
kind: RuntimeTemplate
metadata:
  name: {{ .name }}
spec:
  {{- .spec | nindent 2 }}
{{- end -}}
