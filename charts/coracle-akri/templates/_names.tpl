{{/* The name of everything that belongs to this release. */}}
{{- define "coracle-akri.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of this release. */}}
{{- define "coracle-akri.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels of everything that belongs to this release. */}}
{{- define "coracle-akri.labels" -}}
{{ include "coracle-akri.selector" . }}
app.kubernetes.io/component: discovery-handler
app.kubernetes.io/part-of: coracle
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}
