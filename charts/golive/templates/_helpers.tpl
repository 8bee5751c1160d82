{{- define "golive.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "golive.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "golive.name" .) }}
{{- end }}

{{- define "golive.selector" -}}
app.kubernetes.io/name: golive
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "golive.labels" -}}
{{ include "golive.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "golive.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The operator's configuration: what was set, with the image and the mounted roots filled in. */}}
{{- define "golive.config" -}}
{{- $config := deepCopy .Values.config }}
{{- range $key, $value := .Values.config }}{{ if not $value }}{{ $_ := unset $config $key }}{{ end }}{{ end }}
{{- $_ := set $config "jobImage" (.Values.config.jobImage | default (include "golive.image" .)) }}
{{- if .Values.trust.configMap }}{{ $_ := set $config "trustFile" (printf "/etc/golive/trust/%s" .Values.trust.key) }}{{ end }}
{{- toYaml $config }}
{{- end }}
