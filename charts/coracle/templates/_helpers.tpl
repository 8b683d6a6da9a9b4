{{- define "coracle.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}-node
{{- end }}

{{- define "coracle.selector" -}}
app.kubernetes.io/name: coracle
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "coracle.labels" -}}
{{ include "coracle.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "coracle.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}
